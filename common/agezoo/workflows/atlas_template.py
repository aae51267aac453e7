"""The template of a cohort: typical bodies registered to one of them, averaged in intensity and shape, twice."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from agezoo.child_processes import children_with_threads
from agezoo.data.masked_cohort import label_names, read_labels
from agezoo.errors import AgeZooError, InputError, MissingExtraError
from agezoo.transforms.body.body_registration import (
    BodyWarp,
    carried,
    inside,
    register_body,
    registration_quality,
    unmoved,
)
from agezoo.transforms.body.body_template import BodyTemplate, CoarseBody, body_mask
from agezoo.transforms.brain.head_grid import blurred_to
from agezoo.workflows.atlas_cases import AtlasCase
from agezoo.workflows.atlas_work import read_coarse
from agezoo.workflows.brain_preparation_workers import WorkerDeath, in_workers

logger = logging.getLogger(__name__)

ROUNDS = 2
# Bodies that are measured for each that the template is made of.
_CANDIDATES_PER_SUBJECT = 3
_INVERSION_STEPS = 12
# A body that lies worse on the template than this does not enter it.
_MIN_OVERLAP = 0.8


@dataclass(frozen=True, eq=False)
class _Member:
    case: AtlasCase
    body: CoarseBody


@dataclass(frozen=True, eq=False)
class _Task:
    """A body to register, or a case to read where there is no template yet."""

    case: AtlasCase
    spacing_mm: float
    body: CoarseBody | None = None
    template: CoarseBody | None = None


def build_template(
    cases: Sequence[AtlasCase],
    *,
    spacing_mm: float,
    n_subjects: int,
    reference: str | None = None,
    labels: str | None = None,
    workers: int = 0,
    progress: bool = True,
) -> BodyTemplate:
    """Build a template from a cohort.

    Up to three times `n_subjects` scans, spread evenly over the cohort sorted by sex and age, are measured: volume of
    the body, length and both widths. The one nearest to the median of all measures is the reference, the `n_subjects`
    nearest ones are registered to it. Water and fat are averaged where the mean of their deformations puts them, so
    that the template has the mean shape and not the reference's; the second round does the same with the result of
    the first. Where scans have masks, every voxel gets the label that most of them have there.

    Parameters
    ----------
    cases
        The cohort; a scan that cannot be read is passed over.
    spacing_mm
        Edge of the template's voxels.
    n_subjects
        How many bodies are averaged.
    reference
        ``subject_id`` of the first template; None chooses.
    labels
        Label volume in the reference's space, in place of the scans' masks.
    workers
        Processes; 0 works in this one.
    progress
        Show a progress bar.

    Raises
    ------
    InputError
        If no scan can be read, or the reference is not in the cohort.
    """
    chosen = [case for case in cases if not case.row.get("error")]
    named = [case for case in chosen if case.subject_id == reference]
    if reference is not None and not named:
        raise InputError("the template's reference is not in the cohort", source="reference", found=reference)
    candidates = [*named[:1], *_spread(chosen, _CANDIDATES_PER_SUBJECT * n_subjects)]
    candidates = list({case.key: case for case in candidates}.values())
    read = _run([_Task(case, spacing_mm) for case in candidates], workers, "reading bodies", progress)
    members = [_Member(task.case, body) for task, body in read if isinstance(body, CoarseBody)]
    if not members:
        raise InputError("no scan of the cohort can be read, so there is no template", found=f"{len(candidates)} tried")
    members = _typical(members, named[0].key if named else None)[:n_subjects]
    first = members[0]
    template = replace(first.body, mask=first.body.mask)
    result = BodyTemplate(template)
    for number in range(ROUNDS):
        title = f"template, round {number + 1} of {ROUNDS}"
        # The first template is the first body itself.
        found = {first.case.key: unmoved(first.body)} if number == 0 else {}
        tasks = [
            _Task(member.case, spacing_mm, member.body, result.body)
            for member in members
            if member.case.key not in found
        ]
        found |= {
            task.case.key: warp for task, warp in _run(tasks, workers, title, progress) if isinstance(warp, BodyWarp)
        }
        result = _averaged(result.body, members, found, labels if number == ROUNDS - 1 else None, number == ROUNDS - 1)
    return replace(
        result,
        facts={
            "origin": "built from the cohort",
            "spacing_mm": spacing_mm,
            "rounds": ROUNDS,
            "measured_scans": len(read),
            "reference": first.case.name,
            "subjects": [member.case.name for member in members],
            **result.facts,
        },
    )


def template_work(task: _Task) -> CoarseBody | BodyWarp | str:
    """Read or register one body; the reason where that fails."""
    try:
        if task.template is None or task.body is None:
            return read_coarse(dict(task.case.row), task.spacing_mm)
        warp = register_body(task.body, task.template)
        quality = registration_quality(task.body, task.template, warp.points_mm(task.template))
        if quality.overlap < _MIN_OVERLAP:
            return f"overlap {quality.overlap:.2f} with the template"
        return warp
    except MissingExtraError:
        raise
    except AgeZooError as error:
        return str(error)
    except Exception as error:
        logger.debug("unexpected failure", exc_info=True)
        return f"{type(error).__name__}: {error}"


def _run(tasks: Sequence[_Task], workers: int, title: str, progress: bool) -> list[tuple[_Task, Any]]:
    results: dict[str, tuple[_Task, Any]] = {}
    with (
        tqdm(total=len(tasks), desc=title, unit="scan", disable=None if progress else True, file=sys.stderr) as bar,
        children_with_threads(1),
        closing(in_workers(template_work, tasks, jobs=min(workers, len(tasks)))) as outcomes,
    ):
        for task, outcome in outcomes:
            if isinstance(outcome, (str, WorkerDeath)):
                logger.warning("%s is left out of the template: %s", task.case.name, outcome)
            results[task.case.key] = (task, outcome)
            bar.update()
    # In the order of the tasks, whichever ended first: sums must not depend on it.
    return [results[task.case.key] for task in tasks]


def _spread(cases: Sequence[AtlasCase], n: int) -> list[AtlasCase]:
    ordered = sorted(cases, key=lambda c: (c.sex, -1.0 if c.age_years is None else c.age_years, c.key))
    if not ordered:
        return []
    places = np.linspace(0, len(ordered) - 1, min(n, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def _typical(members: Sequence[_Member], reference: str | None) -> list[_Member]:
    """Nearest to the median size first; a given reference before all."""
    sizes = np.log([_sizes(member.body) for member in members])
    middle = np.median(sizes, axis=0)
    spread = np.median(np.abs(sizes - middle), axis=0)
    distance = (((sizes - middle) / np.where(spread > 0, spread, 1)) ** 2).sum(axis=1)
    order = sorted(range(len(members)), key=lambda i: (members[i].case.key != reference, distance[i]))
    return [members[i] for i in order]


def _sizes(body: CoarseBody) -> tuple[float, ...]:
    """Volume, and SD of the body's voxels along each axis."""
    place = np.argwhere(body.mask) * body.spacing_mm
    return (float(max(len(place), 1)), *(np.maximum(place.std(axis=0), 1.0) if len(place) else np.ones(3)))


def _averaged(
    template: CoarseBody,
    members: Sequence[_Member],
    warps: dict[str, BodyWarp],
    labels: str | None,
    with_labels: bool,
) -> BodyTemplate:
    used = [member for member in members if member.case.key in warps]
    if not used:
        raise InputError("no body could be registered to the reference", found=f"{len(members)} tried")
    points = {member.case.key: warps[member.case.key].points_mm(template) for member in used}
    place = _mean_shape(template, [points[member.case.key] for member in used])
    shape = template.shape
    water, fat, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    with_fat = all(member.body.fat is not None for member in used)
    votes: dict[int, np.ndarray] = {}
    names: dict[str, int] = {}
    n_masks = 0
    for index, member in enumerate(used):
        # The member's points at the mean shape's voxels.
        at = np.stack(
            [ndimage.map_coordinates(axis, place, order=1, mode="nearest") for axis in points[member.case.key]]
        )
        body = member.body
        within = inside(body.shape, body.affine, at)
        count += within
        water += carried(body.water, body.affine, at)
        fat += carried(body.fat, body.affine, at) if with_fat and body.fat is not None else 0
        mask = labels if labels and index == 0 else member.case.mask if not labels else ""
        if with_labels and mask:
            n_masks += 1
            _vote(votes, names, mask, at, template.spacing_mm)
    known = np.maximum(count, 1)
    mean_water, mean_fat = (water / known).astype(np.float32), (fat / known).astype(np.float32)
    mean = CoarseBody(
        mean_water,
        mean_fat if with_fat else None,
        body_mask(mean_water + mean_fat, template.spacing_mm),
        template.affine,
    )
    if not n_masks:
        return BodyTemplate(mean, facts={"averaged": len(used), "labels": "none"})
    told = "given, in the reference's space" if labels else f"most of the masks of {n_masks} subjects"
    return BodyTemplate(mean, _elected(votes, n_masks), names, {"averaged": len(used), "labels": told})


def _mean_shape(template: CoarseBody, points_mm: Sequence[np.ndarray]) -> np.ndarray:
    """Where in the template's array each voxel of the mean shape comes from, (3, X, Y, Z) in voxels.

    The mean of the maps template -> subject says where the mean subject has the template's points, up to a shift; its
    inverse, found by fixed-point iteration, draws the template in the mean subject's shape.
    """
    inverse = np.linalg.inv(template.affine)
    grid = np.indices(template.shape, dtype=np.float32)
    mean = np.mean(points_mm, axis=0, dtype=np.float64)
    moved = np.tensordot(inverse[:3, :3], mean, axes=1) + inverse[:3, 3].reshape(3, 1, 1, 1) - grid
    moved -= moved[:, template.mask].mean(axis=1).reshape(3, 1, 1, 1)
    moved = moved.astype(np.float32)
    place = grid.copy()
    for _ in range(_INVERSION_STEPS):
        place = grid - np.stack([ndimage.map_coordinates(axis, place, order=1, mode="nearest") for axis in moved])
    return place


def _vote(
    votes: dict[int, np.ndarray], names: dict[str, int], mask: str, points_mm: np.ndarray, spacing_mm: float
) -> None:
    """Add how much of a subject's mask each region covers at the points."""
    labels = read_labels(Path(mask))
    boxes = ndimage.find_objects(labels.hu.astype(np.uint8))
    # As far as a region's blurred edge reaches.
    room = np.ceil(2 * spacing_mm / np.asarray(labels.spacing_mm)).astype(int)
    for name, value in label_names(Path(mask), labels.hu).items():
        if names.setdefault(name, value) != value:
            raise InputError("masks of the cohort call other regions by the same number", source=mask, found=name)
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is None:
            continue
        start = np.array([max(part.start - more, 0) for part, more in zip(box, room, strict=True)])
        part = labels.hu[tuple(slice(s, b.stop + r) for s, b, r in zip(start, box, room, strict=True))] == value
        affine = np.array(labels.affine, dtype=float)
        affine[:3, 3] += affine[:3, :3] @ start
        votes[value] = votes.get(value, 0) + carried(blurred_to(part, affine, spacing_mm), affine, points_mm)


def _elected(votes: dict[int, np.ndarray], n_masks: int) -> np.ndarray:
    most = n_masks - np.sum(list(votes.values()), axis=0)
    result = np.zeros(most.shape, dtype=np.uint8)
    for value, share in votes.items():
        wins = share > most
        result[wins] = value
        most[wins] = share[wins]
    return result
