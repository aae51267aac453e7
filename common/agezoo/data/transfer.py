"""Who of a second cohort is fine-tuned on, and who is left for the test."""

from __future__ import annotations

import os
from typing import Any

from agezoo.data.datalist import SECTIONS, load_datalist
from agezoo.data.splits import draw_test_subjects
from agezoo.errors import InputError


def transfer_split(
    datalist: str | os.PathLike[str],
    *,
    fraction: float = 0.3,
    validation_fraction: float = 0.2,
    modality: str | None = None,
    seed: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """Split a cohort for transfer learning: a stratified part to fine-tune on, the rest to test.

    Rows are drawn by person and spread evenly over age and sex (:func:`agezoo.data.splits.draw_test_subjects`); the
    sections and folds of the datalist play no part.

    Parameters
    ----------
    datalist
        The JSON file. Rows without an age are left out, because they can be neither trained on nor tested.
    fraction
        Share of the people to fine-tune on.
    validation_fraction
        Share of these that is not trained on but chooses the epoch.
    modality
        Take only the rows of this ``modality`` (a covariate of the datalist); None takes all.
    seed
        The same seed gives the same people.

    Returns
    -------
    dict
        ``training``, ``validation`` and ``test``: rows as :meth:`agezoo.data.datalist.Datalist.rows` gives them.

    Raises
    ------
    InputError
        If no row is of the modality, or so few people are left that a part would be empty.
    """
    if not 0 < fraction < 1 or not 0 < validation_fraction < 1:
        raise InputError(
            "a fraction is out of range",
            source="transfer_split",
            found=f"fraction {fraction}, validation_fraction {validation_fraction}",
            expected="more than 0 and less than 1",
        )
    listed = load_datalist(datalist)
    rows = [row for section in SECTIONS for row in listed.rows(section) if row["age_years"] == row["age_years"]]
    if modality is not None:
        kinds = sorted({str(row["covariates"].get("modality", "")) for row in rows})
        rows = [row for row in rows if row["covariates"].get("modality") == modality]
        if not rows:
            raise InputError(
                f"the datalist has no rows of modality {modality!r} with an age",
                source=datalist,
                found="modalities " + ", ".join(kind or "(none)" for kind in kinds),
                remedy="give the table a column modality, or set finetune_modality to null to take all rows",
            )
    people = len({row["subject_id"] for row in rows})
    if people < 4:
        raise InputError(
            "too few people to fine-tune on one part and test on another",
            source=datalist,
            found=f"{people} people",
            expected="at least 4",
        )
    rest = _drawn(rows, 1 - fraction, seed)
    chosen = [row for row, is_rest in zip(rows, rest, strict=True) if not is_rest]
    held_out = _drawn(chosen, validation_fraction, seed + 1)
    return {
        "training": [row for row, out in zip(chosen, held_out, strict=True) if not out],
        "validation": [row for row, out in zip(chosen, held_out, strict=True) if out],
        "test": [row for row, is_rest in zip(rows, rest, strict=True) if is_rest],
    }


def _drawn(rows: list[dict[str, Any]], fraction: float, seed: int) -> list[bool]:
    drawn = draw_test_subjects(
        [row["subject_id"] for row in rows],
        [row["age_years"] for row in rows],
        [row["sex"] or None for row in rows],
        fraction=fraction,
        seed=seed,
    )
    return [bool(flag) for flag in drawn]
