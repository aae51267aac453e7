"""The perturbations of radiographs by name: what each does, in which unit it is graded and how strongly it is tried.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from agezoo.transforms.perturb.perturbation import Perturbation

RADIOGRAPH_PERTURBATIONS: dict[str, Perturbation] = {
    p.name: p
    for p in (
        Perturbation(
            "noise",
            "Detector noise",
            "of the range",
            (0.01, 0.02, 0.05, 0.1),
            0.0,
            "Independent Gaussian noise is added, its standard deviation this part of the grey range (1st to 99th "
            "percentile), so that 0.05 is a signal-to-noise ratio of 20. What is saturated, black or white, stays so.",
            "radiograph_noise:add_noise",
        ),
        Perturbation(
            "dose",
            "Lower dose",
            "of the dose",
            (0.25, 0.1, 0.03, 0.01),
            1.0,
            "Quantum noise is added as if the picture had been made with this fraction of its dose: stronger where the "
            "picture is bright, that is where few quanta arrive. An approximation: grey values are taken as "
            "logarithmic in exposure over a range of 50 to 1, with 45,000 detected quanta per square millimetre in the "
            "middle of it at the full dose (DXA scanners use far fewer, so that this adds too little to their images). "
            "What is saturated stays so.",
            "radiograph_noise:lower_dose",
        ),
        Perturbation(
            "blur",
            "Unsharpness",
            "mm",
            (0.5, 1.0, 2.0, 4.0),
            0.0,
            "Blurred by a Gaussian of this full width at half maximum, as a large focal spot or a body far from the "
            "detector does.",
            "radiograph_blur:blur",
        ),
        Perturbation(
            "motion",
            "Motion",
            "mm",
            (1.0, 2.0, 5.0),
            0.0,
            "The patient moves this far during the exposure, evenly along a straight line in a direction drawn by "
            "chance.",
            "radiograph_blur:motion",
        ),
        Perturbation(
            "rotation",
            "Rotation in the image plane",
            "degrees",
            (2.0, 5.0, 10.0, 15.0),
            0.0,
            "Turned about the middle of the image, to the left or to the right by chance; black comes in.",
            "radiograph_position:rotate",
        ),
        Perturbation(
            "shift",
            "Shift",
            "mm",
            (10.0, 20.0, 40.0),
            0.0,
            "Everything is moved by whole pixels in a direction drawn by chance; black comes in, and what is pushed "
            "over the edge is lost.",
            "radiograph_position:shift",
        ),
        Perturbation(
            "magnification",
            "Magnification",
            "×",
            (0.8, 0.9, 1.1, 1.25),
            1.0,
            "Enlarged about the middle of the image, whose size stays: below 1 black comes in, above 1 the edges go.",
            "radiograph_position:magnify",
        ),
        Perturbation(
            "flip",
            "Left and right swapped",
            "",
            (1.0,),
            0.0,
            "The patient faces the other way.",
            "radiograph_position:flip",
        ),
        Perturbation(
            "crop_cranial",
            "Head end cut off",
            "of the height",
            (0.05, 0.1, 0.2, 0.3),
            0.0,
            "This fraction of the height is missing at the head end; the rest fills the network's canvas anew.",
            "radiograph_crop:crop_cranial",
            "radiograph_crop:cranial_geometry",
        ),
        Perturbation(
            "crop_caudal",
            "Foot end cut off",
            "of the height",
            (0.05, 0.1, 0.2, 0.3),
            0.0,
            "This fraction of the height is missing at the foot end; the rest fills the network's canvas anew.",
            "radiograph_crop:crop_caudal",
            "radiograph_crop:caudal_geometry",
        ),
        Perturbation(
            "crop_sides",
            "Narrower field of view",
            "of the width",
            (0.1, 0.2, 0.3, 0.5),
            0.0,
            "This fraction of the width is missing, half of it on either side.",
            "radiograph_crop:crop_sides",
            "radiograph_crop:sides_geometry",
        ),
        Perturbation(
            "collimation",
            "Collimated, masked in black",
            "of the sides",
            (0.05, 0.1, 0.2, 0.3),
            0.0,
            "A black frame covers this fraction of the height and of the width, half of it at each edge; the size of "
            "the image stays. Reading cuts off shutters and borders that it recognises: this is one that it missed.",
            "radiograph_crop:collimate",
        ),
        Perturbation(
            "border",
            "Collimated, not masked",
            "of the sides",
            (0.05, 0.1, 0.2),
            0.0,
            "The same frame in white, as unexposed edges look that nothing masks, or a border that was burnt in.",
            "radiograph_crop:leave_unexposed",
        ),
        Perturbation(
            "marker",
            "Burnt-in marker",
            "mm",
            (5.0, 10.0, 20.0, 40.0),
            0.0,
            "A side mark and a number of this height in white, in the upper left or right corner by chance.",
            "radiograph_marker:burn_in",
        ),
        Perturbation(
            "gamma",
            "Bent grey scale",
            "as gamma",
            (0.5, 0.7, 1.5, 2.0),
            1.0,
            "The grey scale is bent: a value at the share t of the image's range goes to t to the power of this. The "
            "order of the grey values stays, so that only a recipe without histogram equalisation should notice.",
            "radiograph_grey:change_gamma",
        ),
        Perturbation(
            "window",
            "Narrow window",
            "of the range",
            (0.8, 0.6, 0.4),
            1.0,
            "Only the middle part of the grey range (1st to 99th percentile) is kept; all beyond is black or white, as "
            "in a picture that was saved with too much contrast.",
            "radiograph_grey:narrow_window",
        ),
        Perturbation(
            "bits",
            "Fewer grey values",
            "bits",
            (8.0, 6.0, 5.0, 4.0),
            16.0,
            "Stored in 2 to the power of this equal steps between the darkest and the brightest value. Images "
            "that have no more grey values than that are left out.",
            "radiograph_grey:coarsen",
        ),
        Perturbation(
            "inversion",
            "Black and white swapped",
            "",
            (1.0,),
            0.0,
            "Bone is dark, as when a file's photometric interpretation was ignored. Not a variation but a failure, "
            "which the ages must show.",
            "radiograph_grey:invert",
        ),
        Perturbation(
            "pixel_size",
            "Larger pixels",
            "mm",
            (0.75, 1.0, 1.5, 2.5),
            0.0,
            "Averaged into pixels of this edge, without gaps or overlap. Images whose pixels are that large already "
            "are left out.",
            "radiograph_detail:enlarge_pixels",
            "radiograph_detail:large_geometry",
        ),
        Perturbation(
            "jpeg",
            "JPEG compression",
            "% quality",
            (75.0, 50.0, 20.0, 5.0),
            100.0,
            "Stored as 8-bit JPEG of this quality on libjpeg's scale and read back.",
            "radiograph_detail:compress",
        ),
        Perturbation(
            "metal_screws",
            "Spinal screws",
            "levels",
            (2.0, 4.0, 8.0),
            0.0,
            "Pairs of pedicle screws in so many lower vertebrae, and two rods behind them, the brightest of the image. "
            "The column is taken to be the brightest band of the lower half, the back the side with less of it.",
            "radiograph_implant:spinal_screws",
        ),
        Perturbation(
            "metal_hip",
            "Hip prosthesis",
            "mm",
            (28.0, 36.0, 54.0),
            0.0,
            "Head of this diameter, neck and stem of a hip prosthesis over the lower end of the column, brighter than "
            "anything else.",
            "radiograph_implant:hip_prosthesis",
        ),
    )
}
