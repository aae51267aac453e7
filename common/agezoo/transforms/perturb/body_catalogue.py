"""The perturbations of whole bodies by name: what each does, in which unit, and how strongly it is tried.

They act on what a network gets before it is standardised: the stitched channels on its grid, 0 outside the body.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from agezoo.transforms.perturb.perturbation import Perturbation

#: Functions take and give one channel, 0 outside the body.
BODY_PERTURBATIONS: dict[str, Perturbation] = {
    p.name: p
    for p in (
        Perturbation(
            "noise",
            "Noise",
            "of the brightness",
            (0.05, 0.15, 0.3),
            0.0,
            "Complex Gaussian noise, of which the magnitude is taken (Rician). Its standard deviation is this fraction "
            "of the body's median brightness; the air stays 0.",
            "body_intensity:add_rician_noise",
        ),
        Perturbation(
            "bias",
            "Uneven coil sensitivity",
            "×",
            (1.5, 2.5),
            1.0,
            "Multiplied by a smooth field drawn by chance, the exponential of a polynomial of third degree, whose "
            "largest value in the body is this many times its smallest.",
            "body_intensity:bias",
        ),
        Perturbation(
            "station_step",
            "A station of other brightness",
            "×",
            (0.5, 0.8, 1.25, 2.0),
            1.0,
            "A sixth of the height, drawn by chance, is this many times as bright, as where stitching did not match a "
            "station to its neighbours. The edges of the step are 3 cm wide.",
            "body_intensity:step_station",
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
            "smoothing",
            "Smoothing",
            "mm",
            (10.0, 20.0),
            0.0,
            "Smoothed by a Gaussian of this full width at half maximum within the body.",
            "body_intensity:smooth",
        ),
        Perturbation(
            "crop_cranial",
            "Head end cut off",
            "mm",
            (50.0, 100.0, 200.0),
            0.0,
            "The body's uppermost part of this height is missing, as in tall people or without the first station.",
            "body_position:cut_top",
        ),
        Perturbation(
            "crop_caudal",
            "Foot end cut off",
            "mm",
            (50.0, 100.0, 200.0),
            0.0,
            "The body's lowermost part of this height is missing.",
            "body_position:cut_bottom",
        ),
        Perturbation(
            "crop_lateral",
            "Arms cut off",
            "mm",
            (25.0, 50.0, 100.0),
            0.0,
            "This much of the body's width is missing on either side, as in wide people in the usual field of view.",
            "body_position:cut_sides",
        ),
        Perturbation(
            "shift",
            "Shift",
            "mm",
            (10.0, 30.0, 60.0),
            0.0,
            "Moved by this distance in a direction drawn by chance; what leaves the grid is lost.",
            "body_position:shift",
        ),
        Perturbation(
            "roll",
            "Rolled about the long axis",
            "degrees",
            (3.0, 8.0),
            0.0,
            "Turned about the head-foot axis through the middle of the body, to either side by chance.",
            "body_position:roll",
        ),
        Perturbation(
            "tilt",
            "Lying obliquely",
            "degrees",
            (2.0, 5.0),
            0.0,
            "Turned about the front-back axis through the middle of the body, to either side by chance.",
            "body_position:tilt",
        ),
        Perturbation(
            "mirror",
            "Left and right swapped",
            "",
            (1.0,),
            0.0,
            "The halves of the image change places, as when a file's orientation is wrong: heart and liver are on the "
            "other side.",
            "body_position:mirror",
        ),
    )
}

INTENSITY = ("noise", "bias", "station_step", "scale", "smoothing")
"""Those that change brightness, which a fraction has not."""
