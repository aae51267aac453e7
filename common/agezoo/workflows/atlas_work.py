"""What one worker does with one case: register it, explain it, carry the map to the template, shuffle it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agezoo.data.atomic import written_atomically
from agezoo.data.masked_cohort import label_names, read_labels
from agezoo.errors import AgeZooError, InputError, MissingExtraError
from agezoo.transforms.body.body_registration import (
    BodyWarp,
    carried,
    carried_map,
    inside,
    register_body,
    registration_quality,
)
from agezoo.transforms.body.body_template import BodyTemplate, CoarseBody, coarse_body, read_template
from agezoo.workflows.atlas_cases import AtlasCase
from agezoo.workflows.atlas_shuffles import RegionShares
from agezoo.workflows.atlas_sums import CarriedMap

logger = logging.getLogger(__name__)

MakeMap = Callable[..., Any]
"""From a case's row and mask to a :class:`agezoo.workflows.atlas_maps.PatientMap`."""


@dataclass(frozen=True)
class AtlasSettings:
    """How every case is treated; everything that a process of its own needs to know.

    Attributes
    ----------
    bundle, weights, method, layer, device
        The network and how it is explained.
    template
        Folder that :meth:`agezoo.transforms.body.body_template.BodyTemplate.write` wrote.
    registrations
        Folder of finished registrations, which other networks and methods use again.
    min_overlap, min_correlation
        A case below one of them is left out.
    n_shuffles, seed
        Of the shuffled maps.
    make_map
        What stands for the weights; must pickle if there are other processes.
    """

    bundle: str
    weights: tuple[Path, ...]
    method: str
    layer: str | None
    device: str | None
    template: Path
    registrations: Path
    min_overlap: float
    min_correlation: float
    n_shuffles: int
    seed: int
    make_map: MakeMap | None = None


@dataclass(frozen=True)
class AtlasTask:
    """One case and its treatment."""

    case: AtlasCase
    settings: AtlasSettings


@dataclass(frozen=True, eq=False)
class AtlasOutcome:
    """What became of a case.

    Attributes
    ----------
    row
        For ``cases.csv``; ``error`` is empty if the case counts, and ``may_pass_later`` tells whether a failure need
        not repeat itself.
    carried
        None if the case does not count.
    """

    row: dict[str, Any]
    carried: CarriedMap | None = None


@dataclass
class _Figures:
    """Filled while a case is treated, so that a failure keeps what was known by then."""

    registration_correlation: float | None = None
    registration_overlap: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)


def atlas_case(task: AtlasTask) -> AtlasOutcome:
    """Treat one case; a case that cannot be treated gives a row with the reason.

    Raises
    ------
    MissingExtraError
        If the libraries of the registration are not installed, which no other case would survive either.
    """
    figures = _Figures()
    try:
        return _treated(task, figures)
    except MissingExtraError:
        raise
    except AgeZooError as error:
        return failed(task.case, str(error), figures=figures)
    except Exception as error:
        # A case must never stop the others; memory may suffice next time, and a fault of ours may be mended.
        logger.debug("unexpected failure", exc_info=True)
        return failed(task.case, f"{type(error).__name__}: {error}", may_pass_later=True, figures=figures)


def failed(
    case: AtlasCase, error: str, *, may_pass_later: bool = False, figures: _Figures | None = None
) -> AtlasOutcome:
    """A case that does not count, with the reason."""
    return AtlasOutcome({**_facts(case, figures or _Figures()), "error": error, "may_pass_later": may_pass_later})


def read_coarse(row: dict[str, Any], spacing_mm: float) -> CoarseBody:
    """Read a case's stations, stitch them and bring water and fat to the registration's voxels."""
    from agezoo.transforms.body.stitched import read_body

    volume = read_body(row["image"])
    return coarse_body(
        volume.water, volume.fat, volume.affine, spacing_mm=spacing_mm, source=str(row.get("listed_image") or "")
    )


def carried_labels(mask: str, points_mm: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    """A case's label volume at the template's voxels, and the names of its values."""
    labels = read_labels(Path(mask))
    names = label_names(Path(mask), labels.hu)
    return carried(labels.hu.astype(np.uint8), labels.affine, points_mm, order=0), names


def _treated(task: AtlasTask, figures: _Figures) -> AtlasOutcome:
    case, settings = task.case, task.settings
    if case.row.get("error"):
        raise InputError(str(case.row["error"]))
    template, shares = _template(settings.template)
    started = time.perf_counter()
    body, warp = _registered(case, settings, template)
    points_mm = warp.points_mm(template.body)
    quality = registration_quality(body, template.body, points_mm)
    figures.registration_correlation = round(quality.correlation, 4)
    figures.registration_overlap = round(quality.overlap, 4)
    figures.seconds["registration"] = time.perf_counter() - started
    if case.mask:
        figures.dice = _dice(template, *carried_labels(case.mask, points_mm))
    if quality.overlap < settings.min_overlap or quality.correlation < settings.min_correlation:
        raise InputError(
            "poor registration to the template, left out",
            found=f"overlap {quality.overlap:.3f}, correlation {quality.correlation:.3f}",
            expected=f"at least {settings.min_overlap:g} and {settings.min_correlation:g}",
        )
    started = time.perf_counter()
    patient = _make_map(settings)(case.row, case.mask)
    figures.seconds["map"] = time.perf_counter() - started
    started = time.perf_counter()
    spacing_mm = template.body.spacing_mm
    seen = inside(patient.values.shape, patient.affine, points_mm) & inside(body.shape, body.affine, points_mm)
    seen &= template.mask
    # Apart, because older and younger would cancel out where they meet.
    absolute = np.where(seen, carried_map(np.abs(patient.values), patient.affine, points_mm, spacing_mm), 0)
    signed = np.where(seen, carried_map(patient.values, patient.affine, points_mm, spacing_mm), 0)
    mass = float(absolute.sum(dtype=float))
    if not (np.isfinite(mass) and mass > 0):
        raise InputError("the saliency map is empty in the template's body", found=f"sum {mass:g}")
    absolute, signed = (absolute / mass).astype(np.float32), (signed / mass).astype(np.float32)
    figures.seconds["carrying"] = time.perf_counter() - started
    started = time.perf_counter()
    shuffled = shares.of_shuffled(absolute, settings.n_shuffles, key=case.key, seed=settings.seed)
    figures.seconds["shuffles"] = time.perf_counter() - started
    of_regions = shares.of(absolute)
    # In parts of the mean of |map| in the body, so that it depends neither on the grid nor on the body's size.
    signed_means = shares.means(signed) * float(template.mask.sum())
    row = {
        **_facts(case, figures),
        "error": "",
        "may_pass_later": False,
        "share": [float(value) for value in of_regions],
        "signed": [float(value) if np.isfinite(value) else None for value in signed_means],
        "cell_mm": None if patient.cell_mm is None else [round(float(edge), 3) for edge in patient.cell_mm],
    }
    mask = template.mask
    return AtlasOutcome(row, CarriedMap(absolute[mask], signed[mask], seen[mask], shuffled))


def _facts(case: AtlasCase, figures: _Figures) -> dict[str, Any]:
    return {
        "key": case.key,
        "index": case.index,
        "case": case.facts(),
        "registration_correlation": figures.registration_correlation,
        "registration_overlap": figures.registration_overlap,
        "dice": figures.dice,
        "seconds": {name: round(value, 2) for name, value in figures.seconds.items()},
    }


@lru_cache(maxsize=1)
def _template(folder: Path) -> tuple[BodyTemplate, RegionShares]:
    template = read_template(folder)
    if template.labels is None:
        raise InputError("the template has no labels", source=folder)
    return template, RegionShares(template.labels, template.mask, list(template.names.values()))


def _registered(case: AtlasCase, settings: AtlasSettings, template: BodyTemplate) -> tuple[CoarseBody, BodyWarp]:
    from agezoo.engines.cohort_dataset import image_fingerprint

    body = read_coarse(dict(case.row), template.body.spacing_mm)
    version = f"{template_checksum(settings.template)} {RECIPE_VERSION}"
    path = settings.registrations / f"{image_fingerprint(case.row['image'], version)[:32]}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return body, BodyWarp.from_arrays({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, KeyError, TypeError):
            logger.warning("%s: damaged, made again", path.name)
    # As it will be read again, so that a run that was stopped ends in the same numbers.
    warp = BodyWarp.from_arrays(register_body(body, template.body).as_arrays())
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        np.savez_compressed(temporary, **warp.as_arrays())  # type: ignore[arg-type]
    return body, warp


RECIPE_VERSION = "2"
"""Raise it when registrations change: every case is then registered anew."""


@lru_cache(maxsize=4)
def template_checksum(folder: Path, names: tuple[str, ...] = ("water.nii.gz", "fat.nii.gz")) -> str:
    """Of a template's files; registrations hang on its image alone, not on its labels."""
    digest = hashlib.sha256()
    for name in names:
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _dice(template: BodyTemplate, labels: np.ndarray, names: dict[str, int]) -> dict[str, float]:
    """Overlap of every region that the template and the case have."""
    assert template.labels is not None
    result = {}
    for name, value in template.names.items():
        if name not in names:
            continue
        one, other = template.labels == value, labels == names[name]
        size = int(one.sum() + other.sum())
        if size:
            result[name] = round(2 * int((one & other).sum()) / size, 4)
    return result


def _make_map(settings: AtlasSettings) -> MakeMap:
    if settings.make_map is not None:
        return settings.make_map
    from agezoo.workflows.atlas_maps import map_maker

    return map_maker(settings.bundle, settings.weights, settings.method, settings.layer, settings.device)
