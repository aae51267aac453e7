"""The pictures of a robustness run: one case as the network sees it under every perturbation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from agezoo.analysis.plots.perturbed_views import PerturbedImage, PerturbedView
from agezoo.analysis.robustness import NONE, with_unrounded_ages
from agezoo.explain.overlay import split_projections
from agezoo.transforms.perturb.catalogue import CATALOGUES
from agezoo.workflows.bundle_predictor import BundlePredictor, extent_mm
from agezoo.workflows.robustness_case import Chosen, case_name, perturbed_item

_CASE = ("subject_id", "session", "image")


def example_views(
    rows: Sequence[Mapping[str, Any]], table: pd.DataFrame, predictor: BundlePredictor, chosen: Chosen, *, seed: int
) -> tuple[str, list[PerturbedView | PerturbedImage]]:
    """What the network sees of one case, as it is and under every perturbation at its strongest usable grade.

    Parameters
    ----------
    rows
        The cases of the run.
    table
        Content of ``robustness.csv`` with a prediction at least.
    predictor, chosen, seed
        As the table was made with.

    Returns
    -------
    tuple
        The case's name, and its views: two projections each of a volume, the canvas of a radiograph.
    """
    table = with_unrounded_ages(table)
    unperturbed = table[(table["perturbation"] == NONE) & table["predicted_age_years"].notna()]
    # Of middle age, so that the picture is of no extreme.
    middle = unperturbed.sort_values("age_years", kind="stable").iloc[(len(unperturbed) - 1) // 2]
    wanted = [_text(middle[key]) for key in _CASE]
    row = next(row for row in rows if case_name(row) == wanted)
    item = predictor.read_row(row)
    ages = {
        (line["perturbation"], line["grade"]): line["predicted_age_years"]
        for line in table.to_dict("records")
        if [_text(line[key]) for key in _CASE] == wanted and not _text(line["error"])
    }
    views = [_view("as it is", predictor, item, middle["predicted_age_years"])]
    for name, grades in chosen.items():
        perturbation = CATALOGUES[predictor.reader][name]
        usable = [grade for grade in grades if (name, grade) in ages]
        if usable:
            grade = max(usable, key=perturbation.strength)
            altered = perturbed_item(item, row, name, grade, reader=predictor.reader, seed=seed)
            title = ", ".join(filter(None, (perturbation.title, perturbation.graded(grade))))
            views.append(_view(title, predictor, altered, ages[name, grade]))
    return " ".join(filter(None, wanted[:2])), views


def _view(
    title: str, predictor: BundlePredictor, item: Mapping[str, Any], age_years: float
) -> PerturbedView | PerturbedImage:
    prepared = predictor.prepare(item).numpy()
    if predictor.reader == "radiograph":
        return PerturbedImage(title, prepared[0], age_years)
    coronal, sagittal = split_projections(prepared)
    return PerturbedView(title, coronal, sagittal, extent_mm(item), age_years)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)
