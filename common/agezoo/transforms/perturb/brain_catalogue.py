"""The perturbations of T1-weighted heads and brains by name: what each does, its unit, and how strongly it is tried.

Few grades each, because every altered head is registered to the template anew, which takes 10 to 30 seconds.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from agezoo.transforms.perturb.perturbation import Perturbation

_MISREGISTERED = (
    "A head, or a brain in its own space, is registered to the template anew, so that its age should stay. A brain in "
    "MNI space is not: there this is a misregistration, "
)

#: Functions give an array on the image's grid, or :class:`agezoo.transforms.perturb.brain_regrid.Regridded`.
BRAIN_PERTURBATIONS: dict[str, Perturbation] = {
    p.name: p
    for p in (
        Perturbation(
            "noise",
            "Noise",
            "of the brightness",
            (0.05, 0.15),
            0.0,
            "Complex Gaussian noise, of which the magnitude is taken (Rician). Its standard deviation is this fraction "
            "of the median brightness of the head, or of the brain where the image shows nothing else; around a brain "
            "alone nothing is added.",
            "brain_noise:add_rician_noise",
        ),
        Perturbation(
            "bias",
            "Uneven coil sensitivity",
            "×",
            (1.5, 2.5),
            1.0,
            "Multiplied by a smooth field drawn by chance, the exponential of a polynomial of third degree, whose "
            "largest value in the head or brain is this many times its smallest. Preprocessing corrects a head for "
            "such fields; a brain in MNI space is taken as it is.",
            "brain_intensity:bias",
        ),
        Perturbation(
            "gamma",
            "Other contrast",
            "as gamma",
            (0.5, 2.0),
            1.0,
            "The grey scale is bent: a value at the share t of the image's range goes to t to the power of this, as a "
            "stand-in for other sequences, in which grey and white matter differ more or less.",
            "brain_intensity:change_gamma",
        ),
        Perturbation(
            "scale",
            "Other intensity scale",
            "×",
            (0.01, 100.0),
            1.0,
            "Everything is multiplied by this factor. MRI has no unit, so that no age should move.",
            "intensity_scale:scale",
        ),
        Perturbation(
            "offset",
            "Intensity offset",
            "of the brightness",
            (0.1, 0.3),
            0.0,
            "This fraction of the median brightness is added to a head with the air around it, or to a brain alone.",
            "brain_intensity:offset",
        ),
        Perturbation(
            "slice_thickness",
            "Thicker axial slices",
            "mm",
            (3.0, 5.0),
            0.0,
            "Neighbouring axial slices are averaged into slices of this thickness, without gaps or overlap. A head "
            "comes on the thick slices' own grid; a brain alone is interpolated back to its former one. Scans whose "
            "slices are that thick already are left out.",
            "brain_detail:thicken",
        ),
        Perturbation(
            "voxel_size",
            "Larger voxels",
            "mm",
            (2.0, 3.0),
            0.0,
            "Averaged into cubes of this edge. A head comes on their own grid; a brain alone is interpolated back to "
            "its former one. Scans whose voxels are that large already are left out.",
            "brain_detail:enlarge_voxels",
        ),
        Perturbation(
            "smoothing",
            "Smoothing",
            "mm",
            (3.0, 6.0),
            0.0,
            "Smoothed by a Gaussian of this full width at half maximum. A brain alone is not mixed with "
            "its background.",
            "brain_detail:smooth",
        ),
        Perturbation(
            "gibbs",
            "Truncated k-space",
            "as alpha",
            (0.4, 0.6),
            0.0,
            "Only a ball in the middle of k-space is kept: less detail, and ripples beside sharp edges. The number is "
            "the alpha of MONAI's GibbsNoise: the ball's radius is 1.41 times 1 - alpha of half the longest axis, "
            "which it leaves whole at 0.29. Of a brain alone the ripples around it are left out.",
            "brain_detail:cut_k_space",
        ),
        Perturbation(
            "motion",
            "Motion during the scan",
            "mm",
            (1.0, 3.0),
            0.0,
            "The head moves to and fro by this amplitude while the lines of k-space are taken one after another, which "
            "makes ghosts along the front-back axis. Direction (in the sagittal plane) and period (6 to 14 lines) are "
            "drawn by chance. Of a brain alone the ghosts beside it are left out.",
            "brain_motion:move_during_scan",
        ),
        Perturbation(
            "pitch",
            "Nodding",
            "degrees",
            (2.0, 5.0, 15.0),
            0.0,
            "Turned about the left-right axis through the middle of the head or brain, up or down by chance. "
            + _MISREGISTERED
            + "and more than 10 degrees are left out.",
            "brain_position:pitch",
        ),
        Perturbation(
            "roll",
            "Leaning",
            "degrees",
            (2.0, 5.0, 15.0),
            0.0,
            "Turned about the front-back axis, to the left or to the right by chance. "
            + _MISREGISTERED
            + "and more than 10 degrees are left out.",
            "brain_position:roll",
        ),
        Perturbation(
            "yaw",
            "Turning",
            "degrees",
            (2.0, 5.0, 15.0),
            0.0,
            "Turned about the head-foot axis, to the left or to the right by chance. "
            + _MISREGISTERED
            + "and more than 10 degrees are left out.",
            "brain_position:yaw",
        ),
        Perturbation(
            "shift",
            "Shift",
            "mm",
            (2.0, 4.0, 20.0),
            0.0,
            "Moved by this distance in a direction drawn by chance; the field of view stays. "
            + _MISREGISTERED
            + "and more than 10 mm are left out.",
            "brain_position:shift",
        ),
        Perturbation(
            "crop_top",
            "Top of the head missing",
            "mm",
            (10.0, 25.0),
            0.0,
            "The field of view ends this far below the top of the head; scalp and skull are about 15 mm thick there. "
            "Of a brain alone this much of its own top is missing.",
            "brain_field_of_view:cut_top",
        ),
        Perturbation(
            "crop_neck",
            "Neck missing",
            "mm shown",
            (160.0, 140.0),
            300.0,
            "The field of view ends below, this far from the top of the head: 160 mm leave the neck out, 140 mm can "
            "cut into a large cerebellum. Scans that show no more than that are left out.",
            "brain_field_of_view:cut_neck",
        ),
        Perturbation(
            "deface",
            "Face removed",
            "",
            (1.0,),
            0.0,
            "Set to 0 in front of a plane that falls backwards from the root of the nose, as is done to shared scans. "
            "The plane is placed by forehead and top of the head alone. Brains alone are left out.",
            "brain_field_of_view:deface",
        ),
        Perturbation(
            "mirror",
            "Left and right swapped",
            "",
            (1.0,),
            0.0,
            "The halves of the head change places, as when a file's orientation is wrong. Age is seen on both sides.",
            "brain_position:mirror",
        ),
        Perturbation(
            "orientation",
            "Stored in another orientation",
            "",
            (1.0,),
            0.0,
            "The same voxels with axes towards back, head and right, and an affine that says so: nothing must change.",
            "brain_position:reorient",
        ),
    )
}
