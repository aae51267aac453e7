"""The catalogues of perturbations, one per kind of image, and the choice among them.

Nothing here imports NumPy or PyTorch, so that the command line can list the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agezoo.errors import InputError
from agezoo.transforms.perturb.body_catalogue import BODY_PERTURBATIONS
from agezoo.transforms.perturb.brain_catalogue import BRAIN_PERTURBATIONS
from agezoo.transforms.perturb.perturbation import NotApplicable, Perturbation
from agezoo.transforms.perturb.radiograph_catalogue import RADIOGRAPH_PERTURBATIONS
from agezoo.transforms.perturb.volume_catalogue import VOLUME_PERTURBATIONS

__all__ = ["CATALOGUES", "PERTURBATIONS", "NotApplicable", "Perturbation", "chosen_perturbations"]

#: By what one image is, see ``reader`` of :class:`agezoo.registry.BundleFacts`.
CATALOGUES: dict[str, dict[str, Perturbation]] = {
    "volume": VOLUME_PERTURBATIONS,
    "radiograph": RADIOGRAPH_PERTURBATIONS,
    "brain": BRAIN_PERTURBATIONS,
    "body": BODY_PERTURBATIONS,
}

#: Those of CT volumes.
PERTURBATIONS = VOLUME_PERTURBATIONS


def chosen_perturbations(
    names: Sequence[str] | None = None,
    grades: Mapping[str, Sequence[float]] | None = None,
    *,
    reader: str = "volume",
) -> dict[str, tuple[float, ...]]:
    """Names and grades to try.

    Parameters
    ----------
    names
        Names, or what several names begin with (``"crop"``, ``"metal"``); None for all.
    grades
        Grades that take the place of the listed ones, by name; a perturbation named here need not be in `names`
        when these are None.
    reader
        A name of :data:`CATALOGUES`.

    Raises
    ------
    InputError
        For a name that the catalogue lacks, or grades of a perturbation that was not chosen.
    """
    catalogue = CATALOGUES[reader]
    wanted: list[str] = []
    for name in catalogue if names is None else names:
        family = [known for known in catalogue if known == name or known.startswith(f"{name}_")]
        if not family:
            raise InputError("no such perturbation", found=name, expected=", ".join(catalogue))
        wanted += [known for known in family if known not in wanted]
    own = dict(grades or {})
    unknown = [name for name in own if name not in wanted]
    if unknown:
        raise InputError(
            "grades of a perturbation that is not tried", found=", ".join(unknown), expected=", ".join(wanted)
        )
    chosen = {name: tuple(float(g) for g in own.get(name, catalogue[name].grades)) for name in wanted}
    empty = [name for name, values in chosen.items() if not values]
    if empty:
        raise InputError("a perturbation without a grade", found=", ".join(empty), expected="one number or more")
    return chosen
