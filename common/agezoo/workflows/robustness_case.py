"""One scan of a robustness run: perturbed at every grade, predicted again."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agezoo.analysis.robustness import NONE, NOT_APPLICABLE
from agezoo.errors import InputError, user_error
from agezoo.transforms.perturb.catalogue import CATALOGUES, NotApplicable
from agezoo.transforms.perturb.radiograph_scale import ASSUMED_LONGER_SIDE_MM, is_known
from agezoo.transforms.perturb.radiograph_transform import PerturbRadiographd, radiograph_spacing_mm
from agezoo.transforms.perturb.volume_transform import PerturbVolumed
from agezoo.workflows.bundle_predictor import BundlePredictor

logger = logging.getLogger(__name__)

Chosen = Mapping[str, Sequence[float]]

_TRANSFORMS = {"volume": PerturbVolumed, "radiograph": PerturbRadiographd}


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
        images = [predictor.prepare(item)]
    except Exception as error:
        logger.warning("%s: no prediction: %s", facts["subject_id"], reason(error))
        return [{**facts, "perturbation": NONE, "error": reason(error)}], False
    step()
    facts["modality"] = str(item["image_facts"].get("kind") or "") or None
    if facts["age_years"] is None:
        header_age = float(item["image_facts"]["age_years"])
        facts["age_years"] = header_age if header_age == header_age else None
    lines: list[dict[str, Any]] = [{**facts, "perturbation": NONE, "note": _assumed(item, predictor.reader)}]
    catalogue = CATALOGUES[predictor.reader]
    places, final = [0], True
    for name, grades in chosen.items():
        for grade in grades:
            line = {**facts, "perturbation": name, "grade": grade, "unit": catalogue[name].unit}
            try:
                altered = perturbed_item(item, row, name, grade, reader=predictor.reader, seed=seed)
                images.append(predictor.prepare(altered))
                places.append(len(lines))
            except Exception as error:
                line["error"] = reason(error)
                if user_error(error) is None:
                    logger.exception("unexpected failure of %s %g", name, grade)
                    final = False
            lines.append(line)
            step()
    for place, prediction in zip(places, predictor.predict(images, [item["sex"]] * len(images)), strict=True):
        lines[place].update(prediction)
        if prediction["predicted_age_years"] is None:
            lines[place]["error"] = "the network gave no finite age"
    _compare(lines)
    return lines, final


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
