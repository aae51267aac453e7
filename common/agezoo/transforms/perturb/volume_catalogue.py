"""The perturbations of CT volumes by name: what each does, in which unit it is graded and how strongly it is tried.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from agezoo.transforms.perturb.perturbation import Perturbation

VOLUME_PERTURBATIONS: dict[str, Perturbation] = {
    p.name: p
    for p in (
        Perturbation(
            "noise",
            "White noise",
            "HU",
            (10.0, 25.0, 50.0, 100.0),
            0.0,
            "Independent Gaussian noise of this standard deviation is added to every voxel.",
            "noise:add_noise",
        ),
        Perturbation(
            "dose",
            "Lower dose",
            "of the dose",
            (0.5, 0.25, 0.1),
            1.0,
            "Noise is added as if the scan had been made with this fraction of its dose. An approximation in the image "
            "domain, without the raw data: correlated in the slice plane as after filtered back-projection, stronger "
            "where the path through the body is longer, for an assumed noise of the original of 12 HU in 5 mm slices.",
            "dose:lower_dose",
        ),
        Perturbation(
            "crop_cranial",
            "Head end cut off",
            "of the height",
            (0.05, 0.1, 0.2, 0.3),
            0.0,
            "This fraction of the slices at the head end is missing.",
            "crop:crop_cranial",
            "crop:cranial_geometry",
        ),
        Perturbation(
            "crop_caudal",
            "Foot end cut off",
            "of the height",
            (0.05, 0.1, 0.2, 0.3),
            0.0,
            "This fraction of the slices at the foot end is missing.",
            "crop:crop_caudal",
            "crop:caudal_geometry",
        ),
        Perturbation(
            "crop_lateral",
            "Narrower field of view",
            "of the width",
            (0.1, 0.2, 0.3),
            0.0,
            "This fraction of the width is missing, half of it on either side, as with too small a field of view.",
            "crop:crop_lateral",
            "crop:lateral_geometry",
        ),
        Perturbation(
            "rotation",
            "Rotation about the head-foot axis",
            "degrees",
            (2.0, 5.0, 10.0, 15.0),
            0.0,
            "Patient and table are rolled about the middle of the image, to the left or to the right by chance.",
            "rotate:roll",
        ),
        Perturbation(
            "tilt",
            "Tilt in the coronal plane",
            "degrees",
            (2.0, 5.0, 8.0),
            0.0,
            "The patient lies obliquely: turned about the front-back axis through the middle of the image, to either "
            "side by chance.",
            "rotate:tilt",
        ),
        Perturbation(
            "shift",
            "Shift",
            "mm",
            (10.0, 20.0, 40.0),
            0.0,
            "Everything is moved within the slice plane by whole voxels, in a direction drawn by chance; air comes in.",
            "shift:shift_in_plane",
        ),
        Perturbation(
            "slice_thickness",
            "Thicker slices",
            "mm",
            (5.0, 7.5, 10.0),
            0.0,
            "Neighbouring slices are averaged into slices of this thickness, without gaps or overlap. Scans whose "
            "slices are that thick already are left out.",
            "slice_thickness:thicken_slices",
            "slice_thickness:thick_geometry",
        ),
        Perturbation(
            "hu_slope",
            "Wrong slope of the HU scale",
            "×",
            (0.8, 0.9, 1.1, 1.2),
            1.0,
            "Attenuation is multiplied by this factor, so that air stays at -1000 HU and water comes to lie elsewhere.",
            "hounsfield_scale:change_slope",
        ),
        Perturbation(
            "hu_offset",
            "Wrong offset of the HU scale",
            "HU",
            (-100.0, -50.0, 50.0, 100.0),
            0.0,
            "This number is added to every voxel, air included.",
            "hounsfield_scale:change_offset",
        ),
        Perturbation(
            "metal_screws",
            "Spinal screws",
            "HU",
            (3071.0, 8000.0, 20000.0),
            0.0,
            "Four pedicle screws and two rods of this density in the lower spine, with streaks from photon starvation "
            "(coarse parallel-beam simulation). 3071 HU is the most that a scan on the usual 12-bit scale can hold; "
            "titanium has about 8000, steel more than 20000.",
            "metal:spinal_screws",
        ),
        Perturbation(
            "metal_hip",
            "Hip prosthesis",
            "HU",
            (3071.0, 8000.0, 20000.0),
            0.0,
            "The head and stem of a right hip prosthesis of this density at the foot end of the scan, with streaks as "
            "for the screws.",
            "metal:hip_prosthesis",
        ),
    )
}
