"""The perturbations by name: what each does, in which unit it is graded and how strongly it is tried.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from agezoo.errors import InputError


class NotApplicable(InputError):
    """A grade that changes nothing of this scan, e.g. thick slices made of slices that are thicker already."""


@dataclass(frozen=True)
class Perturbation:
    """One way in which a scan can differ from what it might have been.

    Attributes
    ----------
    name
        On the command line and in the tables.
    title
        For headings.
    unit
        Of the grades, as it stands behind the number.
    grades
        Strengths that are tried unless others are asked for, from weak to strong.
    neutral
        The grade that would change nothing; the strength of a grade is its distance from here.
    description
        What is done and what is simplified, for a reader of the report.
    home
        ``module:function`` within this package. The function takes ``(volume_hu, grade, *, spacing_mm, rng)``: a 3D
        array in HU in LAS, the grade, the distance of voxel centres along the three axes in mm and a
        ``numpy.random.Generator``; it returns a new array, or a view of the given one, and never changes its input.
    geometry
        ``module:function`` that tells where the voxels of the result lie in the source, for those that change it:
        ``(shape, grade, *, spacing_mm) -> (first, step)`` in source voxels per axis. Empty: the grid stays.
    """

    name: str
    title: str
    unit: str
    grades: tuple[float, ...]
    neutral: float
    description: str
    home: str = field(repr=False)
    geometry: str = field(default="", repr=False)

    def apply(self, volume_hu: Any, grade: float, *, spacing_mm: Sequence[float], rng: Any) -> Any:
        """Perturb a volume; see ``home``."""
        function: Callable[..., Any] = _function(self.home)
        return function(volume_hu, grade, spacing_mm=spacing_mm, rng=rng)

    def placed(
        self, shape: Sequence[int], grade: float, *, spacing_mm: Sequence[float]
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """First voxel and step of the result's grid in voxels of the source; see ``geometry``."""
        if not self.geometry:
            return (0.0,) * 3, (1.0,) * 3
        placed: tuple[tuple[float, ...], tuple[float, ...]] = _function(self.geometry)(
            shape, grade, spacing_mm=spacing_mm
        )
        return placed

    def strength(self, grade: float) -> float:
        """Distance from the grade that changes nothing."""
        return abs(grade - self.neutral)

    def graded(self, grade: float) -> str:
        """A grade with its unit, e.g. ``50 HU``."""
        return f"{grade:g} {self.unit}".replace("-", "\u2212")


def _function(home: str) -> Callable[..., Any]:
    module, name = home.split(":")
    function: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
    return function


PERTURBATIONS: dict[str, Perturbation] = {
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


def chosen_perturbations(
    names: Sequence[str] | None = None, grades: Mapping[str, Sequence[float]] | None = None
) -> dict[str, tuple[float, ...]]:
    """Names and grades to try.

    Parameters
    ----------
    names
        Names, or what several names begin with (``"crop"``, ``"metal"``); None for all.
    grades
        Grades that take the place of the listed ones, by name; a perturbation named here need not be in `names`
        when these are None.

    Raises
    ------
    InputError
        For an unknown name, or grades of a perturbation that was not chosen.
    """
    wanted: list[str] = []
    for name in PERTURBATIONS if names is None else names:
        family = [known for known in PERTURBATIONS if known == name or known.startswith(f"{name}_")]
        if not family:
            raise InputError("no such perturbation", found=name, expected=", ".join(PERTURBATIONS))
        wanted += [known for known in family if known not in wanted]
    own = dict(grades or {})
    unknown = [name for name in own if name not in wanted]
    if unknown:
        raise InputError(
            "grades of a perturbation that is not tried", found=", ".join(unknown), expected=", ".join(wanted)
        )
    chosen = {name: tuple(float(g) for g in own.get(name, PERTURBATIONS[name].grades)) for name in wanted}
    empty = [name for name, values in chosen.items() if not values]
    if empty:
        raise InputError("a perturbation without a grade", found=", ".join(empty), expected="one number or more")
    return chosen
