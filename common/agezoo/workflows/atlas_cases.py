"""Who is in a population atlas: scans, ages, gaps, and the groups that each belongs to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.agers import Agers, agers
from agezoo.analysis.person_rows import first_sessions
from agezoo.data.datalist import SECTIONS, load_datalist
from agezoo.data.masked_cohort import find_masked_scans
from agezoo.data.table_cells import number_cell, text_cell
from agezoo.errors import InputError

ALL = "all"
SEXES = {"F": "female", "M": "male"}
TYPICAL = "typical"
AGERS = ("accelerated", "decelerated")


@dataclass(frozen=True)
class AtlasCase:
    """One scan of an atlas.

    Attributes
    ----------
    index
        Place among all cases of the cohort, whatever part of it a run takes.
    row
        As :func:`agezoo.predict.cases.find_cases` gives it.
    mask
        Label volume in the scan's space; empty if there is none.
    age_years, predicted_age_years, gap_years, corrected_gap_years
        None where unknown.
    sex
        ``"F"``, ``"M"`` or empty.
    ager
        ``"accelerated"``, ``"decelerated"``, ``"typical"``, or empty where there is no gap.
    age_group
        Such as ``age_44_55``; empty without an age.
    """

    index: int
    row: Mapping[str, Any]
    mask: str
    age_years: float | None
    sex: str
    predicted_age_years: float | None
    gap_years: float | None
    corrected_gap_years: float | None
    ager: str
    age_group: str

    @property
    def subject_id(self) -> str:
        """Pseudonym."""
        return str(self.row["subject_id"])

    @property
    def session(self) -> str:
        """Empty if the person was scanned once."""
        return str(self.row.get("session") or "")

    @property
    def key(self) -> str:
        """Tells a case from every other one of the cohort."""
        return f"{self.subject_id}\t{self.session}\t{self.row.get('listed_image', '')}"

    @property
    def name(self) -> str:
        """Subject and session, for people."""
        return "_".join(part for part in (self.subject_id, self.session) if part)

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group of the atlas that the case counts in."""
        ager = self.ager if self.ager in AGERS else ""
        return tuple(name for name in (ALL, SEXES.get(self.sex, ""), self.age_group, ager) if name)

    def facts(self) -> dict[str, Any]:
        """First columns of ``cases.csv``."""
        return {
            "subject_id": self.subject_id,
            "session": self.session,
            "age_years": self.age_years,
            "sex": self.sex,
            "predicted_age_years": self.predicted_age_years,
            "gap_years": self.gap_years,
            "corrected_gap_years": self.corrected_gap_years,
            "ager": self.ager,
            "age_group": self.age_group,
        }


@dataclass(frozen=True)
class AtlasCohort:
    """The cases and the groups that they can fall into.

    Attributes
    ----------
    cases
        All of the cohort.
    groups
        Names in order: everybody, sexes, ages, agers.
    gap
        The column that divides agers, empty if nobody could be divided.
    gap_mean_years, gap_sd_years
        Of that column, one row per person; NaN if nobody could be divided.
    notes
        What is not known.
    """

    cases: tuple[AtlasCase, ...]
    groups: tuple[str, ...]
    gap: str
    gap_mean_years: float
    gap_sd_years: float
    notes: tuple[str, ...]


def atlas_cohort(
    rows: Sequence[Mapping[str, Any]],
    predictions: pd.DataFrame,
    *,
    masks: Mapping[str, str],
    age_cuts: Sequence[float],
    age_range_years: tuple[float, float],
) -> AtlasCohort:
    """Join scans and predictions and divide people into groups.

    Agers are those of :func:`agezoo.analysis.agers.agers`, over the first session of every person in the table, by the
    corrected gap where the table has one; a further session is judged by the same bounds. Where the raw gap must do,
    a note says so, because it depends on age in most models.

    Parameters
    ----------
    rows
        As :func:`agezoo.predict.cases.find_cases` gives them.
    predictions
        As :func:`agezoo.data.prediction_table.read_predictions` gives them, of the whole cohort.
    masks
        Label volume by image, see :func:`masks_of`.
    age_cuts
        Ages in years that part the age groups.
    age_range_years
        The first and the last group reach at least so far.
    """
    column, divided, notes = _divided(predictions)
    ages = pd.concat([predictions["age_years"], pd.Series([number_cell(r.get("age_years")) for r in rows])])
    bounds = _age_bounds(ages, age_cuts, age_range_years)
    age_groups = [f"age_{low:g}_{high:g}" for low, high in pairwise(bounds)]
    of_case = _Predictions(predictions)
    cases = []
    for index, row in enumerate(rows):
        found = of_case.row(row)
        age = number_cell(found.get("age_years"))
        age = number_cell(row.get("age_years")) if age is None else age
        place = None if age is None else int(np.searchsorted(bounds[1:-1], age, side="right"))
        cases.append(
            AtlasCase(
                index=index,
                row=row,
                mask=masks.get(_image_key(row["image"]), ""),
                age_years=age,
                sex=text_cell(found.get("sex")) or str(row.get("sex") or ""),
                predicted_age_years=_years(found.get("predicted_age_years")),
                gap_years=_years(found.get("gap_years")),
                corrected_gap_years=_years(found.get("corrected_gap_years")),
                ager=_ager(number_cell(found.get(column)) if column else None, divided),
                age_group="" if place is None else age_groups[place],
            )
        )
    unpredicted = sum(case.predicted_age_years is None for case in cases)
    if unpredicted:
        notes.append(f"{unpredicted} of {len(cases)} scans have no prediction and count in no group of agers")
    nan = math.nan
    return AtlasCohort(
        tuple(cases),
        (ALL, *SEXES.values(), *age_groups, *AGERS),
        column,
        divided.mean_years if divided else nan,
        divided.sd_years if divided else nan,
        tuple(notes),
    )


def masks_of(inputs: Sequence[str | Path]) -> dict[str, str]:
    """Label volumes that datalists name in the covariate ``mask``, by their scan's image.

    Raises
    ------
    InputError
        If a mask is not there.
    """
    masks: dict[str, str] = {}
    for given in map(Path, inputs):
        if given.suffix.lower() != ".json" or not given.is_file():
            continue
        datalist = load_datalist(given)
        if any(row.covariates.get("mask") for section in SECTIONS for row in datalist.section(section)):
            masks |= {_image_key(scan.image): str(scan.mask) for scan in find_masked_scans(given)}
    return masks


def is_phantom(inputs: Sequence[str | Path]) -> bool:
    """Whether every input is the datalist of a phantom cohort."""
    paths = [Path(given) for given in inputs]
    return all(p.suffix.lower() == ".json" and p.is_file() and load_datalist(p).origin == "phantom" for p in paths)


class _Predictions:
    """Rows of the table by subject and session, and by image where one visit has several."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in table.to_dict("records"):
            key = text_cell(row.get("subject_id")) or "", text_cell(row.get("session")) or ""
            self._rows.setdefault(key, []).append({str(name): value for name, value in row.items()})

    def row(self, case: Mapping[str, Any]) -> dict[str, Any]:
        found = self._rows.get((str(case["subject_id"]), str(case.get("session") or "")), [])
        if len(found) > 1:
            found = [row for row in found if text_cell(row.get("image")) == str(case.get("listed_image"))] or found
        return found[0] if found else {}


def _divided(predictions: pd.DataFrame) -> tuple[str, Agers | None, list[str]]:
    for column in ("corrected_gap_years", "gap_years"):
        known = predictions[predictions[column].notna()] if column in predictions else predictions.iloc[:0]
        if len(known):
            people = first_sessions(known.reset_index(drop=True))
            try:
                divided = agers(people[column])
            except InputError as error:
                return "", None, [str(error)]
            note = "there is no corrected gap, so the raw one divides agers; it depends on age in most models"
            return column, divided, [note] if column == "gap_years" else []
    return "", None, ["no gap is known, so nobody is called accelerated or decelerated"]


def _years(value: Any) -> float | None:
    number = number_cell(value)
    return None if number is None else round(number, 4)


def _ager(gap_years: float | None, divided: Agers | None) -> str:
    if gap_years is None or divided is None:
        return ""
    if gap_years > divided.mean_years + divided.sd_years:
        return AGERS[0]
    return AGERS[1] if gap_years < divided.mean_years - divided.sd_years else TYPICAL


def _age_bounds(ages: pd.Series, cuts: Sequence[float], age_range_years: tuple[float, float]) -> list[float]:
    known = ages.dropna().astype(float)
    low, high = age_range_years
    if len(known):
        low, high = min(low, math.floor(known.min())), max(high, math.ceil(known.max()))
    ordered = sorted(set(map(float, cuts)))
    if ordered and not (low < ordered[0] and ordered[-1] < high):
        raise InputError(
            "ages that part the age groups lie outside the cohort",
            source="age groups",
            found=", ".join(f"{cut:g}" for cut in ordered),
            expected=f"between {low:g} and {high:g} years",
        )
    return [low, *ordered, high]


def _image_key(image: str | Sequence[str]) -> str:
    paths = [image] if isinstance(image, str) else list(image)
    return "\n".join(str(Path(path).resolve()) for path in paths)
