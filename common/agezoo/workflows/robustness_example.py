"""The pictures of a robustness run: one case as the network sees it under every perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.plots.perturbed_views import PerturbedImage, PerturbedSlices, PerturbedView
from agezoo.analysis.robustness import NONE, with_unrounded_ages
from agezoo.explain.overlay import split_projections
from agezoo.explain.volume_layout import orthogonal_slices
from agezoo.transforms.noise_fill import body_of
from agezoo.transforms.perturb.catalogue import CATALOGUES
from agezoo.workflows.bundle_predictor import BundlePredictor, extent_mm
from agezoo.workflows.robustness_brain import brain_slices
from agezoo.workflows.robustness_case import Chosen, case_name, perturbed_item
from agezoo.workflows.robustness_parts import CaseParts

View = PerturbedView | PerturbedImage | PerturbedSlices

_CASE = ("subject_id", "session", "image")
_GREY_SD = (-2.5, 2.5)
_DARKEST_BRAIN = 0.06


def example_views(
    rows: Sequence[Mapping[str, Any]],
    table: pd.DataFrame,
    predictor: BundlePredictor,
    chosen: Chosen,
    *,
    seed: int,
    parts_of: Callable[[Mapping[str, Any]], CaseParts] | None = None,
) -> tuple[str, list[View]]:
    """What the network sees of one case, as it is and under every perturbation at its strongest usable grade.

    Parameters
    ----------
    rows
        The cases of the run.
    table
        Content of ``robustness.csv`` with a prediction at least.
    predictor, chosen, seed
        As the table was made with.
    parts_of
        What was kept of a case, so that a head need not be registered again for its picture.

    Returns
    -------
    tuple
        The case's name, and its views: two projections each of a volume, the canvas of a radiograph, three slices of
        a brain, two of a body.
    """
    table = with_unrounded_ages(table)
    unperturbed = table[(table["perturbation"] == NONE) & table["predicted_age_years"].notna()]
    # Of middle age, so that the picture is of no extreme.
    middle = unperturbed.sort_values("age_years", kind="stable").iloc[(len(unperturbed) - 1) // 2]
    wanted = [_text(middle[key]) for key in _CASE]
    row = next(row for row in rows if case_name(row) == wanted)
    parts = parts_of(row) if parts_of is not None and predictor.reader == "brain" else None
    item = predictor.read_row(row)
    ages = {
        (line["perturbation"], line["grade"]): line["predicted_age_years"]
        for line in table.to_dict("records")
        if [_text(line[key]) for key in _CASE] == wanted and not _text(line["error"])
    }
    views = [_view("as it is", predictor, middle["predicted_age_years"], lambda: item, parts, NONE, 0.0)]
    for name, grades in chosen.items():
        perturbation = CATALOGUES[predictor.reader][name]
        usable = [grade for grade in grades if (name, grade) in ages]
        if usable:
            grade = max(usable, key=perturbation.strength)
            title = ", ".join(filter(None, (perturbation.title, perturbation.graded(grade))))

            def altered(name: str = name, grade: float = grade) -> dict[str, Any]:
                return perturbed_item(item, row, name, grade, reader=predictor.reader, seed=seed)

            views.append(_view(title, predictor, ages[name, grade], altered, parts, name, grade))
    return " ".join(filter(None, wanted[:2])), views


def _view(
    title: str,
    predictor: BundlePredictor,
    age_years: float,
    item: Callable[[], Mapping[str, Any]],
    parts: CaseParts | None,
    name: str,
    grade: float,
) -> View:
    if predictor.reader == "brain":
        slices = None if parts is None else parts.slices(name, grade)
        return PerturbedSlices(title, _shown(slices or brain_slices(predictor.prepare(item()).numpy())), age_years)
    image = item()
    prepared = predictor.prepare(image).numpy()
    if predictor.reader == "body":
        coronal, sagittal, _ = _shown(_body_slices(prepared))
        return PerturbedView(title, coronal, sagittal, extent_mm(image), age_years)
    if predictor.reader == "radiograph":
        return PerturbedImage(title, prepared[0], age_years)
    coronal, sagittal = split_projections(prepared)
    return PerturbedView(title, coronal, sagittal, extent_mm(image), age_years)


def _body_slices(prepared: np.ndarray) -> tuple[np.ndarray, ...]:
    """Coronal, sagittal and axial slice of the first channel through the middle of the grid; 0 outside the body."""
    volume = np.where(body_of(prepared), prepared[0], 0.0)
    return orthogonal_slices(volume, voxel=[size // 2 for size in volume.shape]).split(volume)


def _shown(slices: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Standardised slices in 0..1: 2.5 SD below the brain's mean nearly black, 2.5 SD above white, outside black."""
    low, high = _GREY_SD
    grey = [np.clip((plane - low) / (high - low), _DARKEST_BRAIN, 1) for plane in slices]
    return tuple(np.where(plane != 0, shown, 0) for plane, shown in zip(slices, grey, strict=True))


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
