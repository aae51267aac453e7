"""One scan of a robustness run: perturbed at every grade, predicted again."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from agezoo.analysis.robustness import NONE, NOT_APPLICABLE
from agezoo.errors import InputError, user_error
from agezoo.transforms.perturb.body_transform import PerturbBodyd
from agezoo.transforms.perturb.brain_transform import PerturbBraind
from agezoo.transforms.perturb.catalogue import CATALOGUES, NotApplicable
from agezoo.transforms.perturb.radiograph_scale import ASSUMED_LONGER_SIDE_MM, is_known
from agezoo.transforms.perturb.radiograph_transform import PerturbRadiographd, radiograph_spacing_mm
from agezoo.transforms.perturb.volume_transform import PerturbVolumed
from agezoo.workflows.bundle_predictor import BundlePredictor
from agezoo.workflows.robustness_brain import brain_columns, brain_slices, was_registered
from agezoo.workflows.robustness_parts import CaseParts

logger = logging.getLogger(__name__)

Chosen = Mapping[str, Sequence[float]]

_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "volume": PerturbVolumed,
    "radiograph": PerturbRadiographd,
    "brain": PerturbBraind,
    "body": PerturbBodyd,
}


def case_name(row: Mapping[str, Any]) -> list[str]:
    """Subject, session and image of a row as the user gave them; empty where unknown."""
    return [str(row.get(key) or "") for key in ("subject_id", "session", "listed_image")]


def perturbed_item(
    item: Mapping[str, Any], row: Mapping[str, Any], name: str, grade: float, *, reader: str, seed: int
) -> dict[str, Any]:
    """An image as ``BundlePredictor.read`` gives it, perturbed; chance depends on `seed`, case and name alone."""
    own = zlib.crc32(json.dumps([seed, case_name(row)]).encode())
    return {str(key): value for key, value in _TRANSFORMS[reader]("image", name, grade, seed=own)(item).items()}


def case_lines(
    row: Mapping[str, Any],
    predictor: BundlePredictor,
    chosen: Chosen,
    *,
    seed: int,
    step: Callable[[], Any] = lambda: None,
    parts: CaseParts | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """Rows of ``robustness.csv`` of one case.

    Parameters
    ----------
    row
        The case, see :func:`agezoo.predict.cases.find_cases`.
    predictor
        Reads, prepares and predicts.
    chosen
        Perturbation -> grades.
    seed
        Seed of what is left to chance.
    step
        Called after every prepared image.
    parts
        Where rows and pictures of a brain that must be registered anew every time are kept as they come; what lies
        there is not done again.

    Returns
    -------
    tuple
        The rows, the scan as it is first; and whether they are final: a failure that is no fault of the scan or the
        grade (memory, a disk) is to be tried again the next time.
    """
    age = row.get("age_years")
    facts: dict[str, Any] = {
        "subject_id": row.get("subject_id"),
        "session": row.get("session"),
        "image": row.get("listed_image"),
        "age_years": None if age is None or age != age else float(age),
    }
    try:
        if row.get("error"):
            raise InputError(str(row["error"]))
        item = predictor.read_row(row)
        baseline = predictor.prepare_item(item)
    except Exception as error:
        logger.warning("%s: no prediction: %s", facts["subject_id"], reason(error))
        return [{**facts, "perturbation": NONE, "error": reason(error)}], False
    step()
    facts["modality"] = str(item["image_facts"].get("kind") or "") or None
    if facts["age_years"] is None:
        header_age = float(item["image_facts"]["age_years"])
        facts["age_years"] = header_age if header_age == header_age else None
    lines: list[dict[str, Any]] = [{**facts, "perturbation": NONE, "note": _assumed(item, predictor.reader)}]
    is_brain = predictor.reader == "brain"
    if is_brain:
        lines[0].update(brain_columns(baseline, baseline))
    if not (is_brain and was_registered(baseline)):
        parts = None
    waiting = _Waiting(predictor, item["sex"])
    waiting.add(lines[0], baseline["image"])
    final = True
    for name, grades in chosen.items():
        for grade in grades:
            line = {**facts, "perturbation": name, "grade": grade, "unit": CATALOGUES[predictor.reader][name].unit}
            kept = None if parts is None else parts.line(name, grade)
            if kept is not None:
                lines.append(kept)
                step()
                continue
            lines.append(line)
            try:
                altered = perturbed_item(item, row, name, grade, reader=predictor.reader, seed=seed)
                prepared = predictor.prepare_item(altered)
                if is_brain:
                    line.update(brain_columns(prepared, baseline))
                waiting.add(line, prepared["image"])
                if parts is not None:
                    waiting.predict()
                    parts.keep_slices(name, grade, brain_slices(prepared["image"].numpy()))
                    parts.keep_line(name, grade, line)
            except Exception as error:
                line["error"] = reason(error)
                if user_error(error) is None:
                    logger.exception("unexpected failure of %s %g", name, grade)
                    final = False
            step()
    waiting.predict()
    if parts is not None:
        parts.keep_slices(NONE, 0.0, brain_slices(baseline["image"].numpy()))
    _compare(lines)
    return lines, final


class _Waiting:
    """Prepared images of one person that wait for their prediction, with the rows that it belongs to."""

    def __init__(self, predictor: BundlePredictor, sex: torch.Tensor) -> None:
        self._predictor = predictor
        self._sex = sex
        self._waiting: list[tuple[dict[str, Any], torch.Tensor]] = []

    def add(self, line: dict[str, Any], image: torch.Tensor) -> None:
        self._waiting.append((line, image))

    def predict(self) -> None:
        lines, images = [line for line, _ in self._waiting], [image for _, image in self._waiting]
        self._waiting.clear()
        predictions = self._predictor.predict(images, [self._sex] * len(images))
        for line, prediction in zip(lines, predictions, strict=True):
            line.update(prediction)
            if prediction["predicted_age_years"] is None:
                line["error"] = "the network gave no finite age"


def _assumed(item: Mapping[str, Any], reader: str) -> str | None:
    """What had to be assumed of an image before it could be perturbed."""
    if reader != "radiograph":
        return None
    if is_known(radiograph_spacing_mm(item["image_facts"], item["image"].shape[1:])):
        return None
    return f"pixel size unknown: perturbed as if the longer side measured {ASSUMED_LONGER_SIDE_MM:g} mm"


def _compare(lines: list[dict[str, Any]]) -> None:
    baseline = _compared(lines[0])
    for line in lines:
        line["baseline_age_years"] = baseline
        predicted = _compared(line)
        if line["perturbation"] != NONE and predicted is not None and baseline is not None:
            line["difference_years"] = predicted - baseline


def _compared(line: Mapping[str, Any]) -> float | None:
    """The age before rounding, of heads that round; see :func:`agezoo.analysis.robustness.with_unrounded_ages`."""
    expected: float | None = line.get("expected_age_years")
    return line.get("predicted_age_years") if expected is None else expected


def reason(error: BaseException) -> str:
    """Why there is no prediction, in the words meant for the user where there are such."""
    cause = user_error(error)
    if isinstance(cause, NotApplicable):
        return f"{NOT_APPLICABLE}: {cause}"
    return str(cause) if cause is not None else f"{type(error).__name__}: {error}"
