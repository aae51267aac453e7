"""One way in which an image can differ from what it might have been, as the catalogues list them.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        Of the grades, as it stands behind the number; empty for what can only be done or not done (grade 1 or 0).
    grades
        Strengths that are tried unless others are asked for, from weak to strong.
    neutral
        The grade that would change nothing; the strength of a grade is its distance from here.
    description
        What is done and what is simplified, for a reader of the report.
    home
        ``module:function`` within this package. The function takes ``(image, grade, *, spacing_mm, rng)``: the image,
        the grade, the distance of pixel centres along the axes in mm and a ``numpy.random.Generator``; it returns a
        new array, or a view of the given one, and never changes its input. A volume is a 3D array in HU in LAS; a
        radiograph a 2D array (rows from head to foot, columns), bone bright, float32, whose spacing may be NaN.
    geometry
        ``module:function`` that tells where the pixels of the result lie in the source, for those that change it:
        ``(shape, grade, *, spacing_mm) -> (first, step)`` in source pixels per axis. Empty: the grid stays.
    """

    name: str
    title: str
    unit: str
    grades: tuple[float, ...]
    neutral: float
    description: str
    home: str = field(repr=False)
    geometry: str = field(default="", repr=False)

    def apply(self, image: Any, grade: float, *, spacing_mm: Sequence[float], rng: Any) -> Any:
        """Perturb an image; see ``home``."""
        function: Callable[..., Any] = _function(self.home)
        return function(image, grade, spacing_mm=spacing_mm, rng=rng)

    def placed(
        self, shape: Sequence[int], grade: float, *, spacing_mm: Sequence[float]
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """First voxel and step of the result's grid in pixels of the source; see ``geometry``."""
        if not self.geometry:
            return (0.0,) * len(shape), (1.0,) * len(shape)
        placed: tuple[tuple[float, ...], tuple[float, ...]] = _function(self.geometry)(
            shape, grade, spacing_mm=spacing_mm
        )
        return placed

    def strength(self, grade: float) -> float:
        """Distance from the grade that changes nothing."""
        return abs(grade - self.neutral)

    def graded(self, grade: float) -> str:
        """A grade with its unit, e.g. ``50 HU``; nothing where there is only one."""
        return "" if not self.unit else f"{grade:g} {self.unit}".replace("-", "\u2212")


def _function(home: str) -> Callable[..., Any]:
    module, name = home.split(":")
    function: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
    return function
