"""The calibration file beside the weights: bias correction, intervals and SD factor for people to come.

It holds numbers, names of columns and hashes; reading it runs nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agezoo.analysis.bias_correction import BiasCorrection, read_json, require_columns
from agezoo.analysis.conformal import Intervals, fit_intervals
from agezoo.analysis.plan import Method
from agezoo.analysis.reference_people import ReferencePeople, subject_codes
from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError

_log = logging.getLogger(__name__)

FILE_NAME = "calibration.json"
VERSION = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")
Sha256 = Annotated[str, Field(pattern=f"^{_SHA256.pattern}$")]


class Weights(Protocol):
    """What :func:`find_calibration` asks of a weight file; :class:`agezoo.networks.weights.WeightsFile` is one."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def sha256(self) -> str:
        """Its checksum."""


class AgeHistogram(BaseModel):
    """Rows of the reference per age in completed years.

    Attributes
    ----------
    first_year
        Age of the first count.
    counts
        One per year.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_year: int
    counts: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]

    @property
    def last_year(self) -> int:
        """Age of the last count."""
        return self.first_year + len(self.counts) - 1

    def holds(self, age_years: float) -> bool:
        """Whether an age lies between the youngest and the oldest of the reference, in completed years."""
        return self.first_year <= np.floor(age_years) <= self.last_year


class FittedOn(BaseModel):
    """Where a calibration comes from.

    Attributes
    ----------
    how
        What the predictions of the reference were, e.g. ``"out of fold"``.
    rows, subjects
        Rows with an age and a prediction, and their people.
    origin
        ``phantom`` where phantom weights predicted, ``real`` where others did, ``unknown`` where the table is silent.
    bundle, bundle_version, datalist_sha256
        What predicted, and the cohort's datalist; None where not known.
    weights_sha256
        Checksums of the weight files that the calibration holds for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    how: str
    rows: Annotated[int, Field(ge=1)]
    subjects: Annotated[int, Field(ge=1)]
    origin: Literal["real", "phantom", "unknown"]
    bundle: str | None = None
    bundle_version: str | None = None
    datalist_sha256: Sha256 | None = None
    weights_sha256: tuple[Sha256, ...] = ()


class RowCalibration(BaseModel):
    """What a calibration adds to one prediction.

    Attributes
    ----------
    values
        Columns of the prediction table by name; only those that are known.
    reasons
        Why the prediction deserves a second look.
    in_reference
        Whether the person is one of the reference; then there are no values.
    """

    model_config = ConfigDict(frozen=True)

    values: dict[str, float] = Field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    in_reference: bool = False


class Calibration(BaseModel):
    """Content of ``calibration.json``.

    Attributes
    ----------
    version
        Of the file's form.
    fitted_on
        Where it comes from.
    correction
        Bias correction; None where the reference did not allow one.
    intervals
        Intervals and SD factors.
    ages
        Ages of the reference.
    reference
        Its people, recognisable but not named.
    notes
        What could not be fitted, and why.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    fitted_on: FittedOn
    correction: BiasCorrection | None
    intervals: Intervals
    ages: AgeHistogram
    reference: ReferencePeople
    notes: tuple[str, ...] = ()

    def of_row(self, row: Mapping[str, Any]) -> RowCalibration:
        """What one person's row of the prediction table gains.

        Parameters
        ----------
        row
            ``predicted_age_years`` (or the column that the calibration was fitted on) and, where known, ``subject_id``,
            ``age_years``, ``aleatoric_sd_years``, ``epistemic_sd_years`` and the columns by which it was fitted apart.

        Returns
        -------
        RowCalibration
            With ``lower_years``, ``upper_years``, ``calibrated_sd_years``, ``corrected_age_years``,
            ``corrected_gap_years`` and ``gap_z`` as far as they are defined. A person of the reference gets none of
            them: whoever was used for fitting would be judged by their own errors.
        """
        age, predicted = _number(row.get("age_years")), _number(row.get(self.intervals.prediction))
        if self.reference.knows(row.get("subject_id"), age[0]):
            return RowCalibration(in_reference=True)
        sd = self.intervals.sd_years(_number(row.get("aleatoric_sd_years")), _number(row.get("epistemic_sd_years")))
        found: dict[str, np.ndarray[Any, Any]] = {}
        bounds = self.intervals.values(predicted, sd, _text(row, self.intervals.by))
        found |= dict(zip(("lower_years", "upper_years", "calibrated_sd_years"), bounds, strict=True))
        if self.correction is not None:
            corrected, z = self.correction.corrected_values(age, predicted, _text(row, self.correction.by))
            found |= {"corrected_age_years": corrected, "corrected_gap_years": corrected - age, "gap_z": z}
        values = {name: float(value[0]) for name, value in found.items() if np.isfinite(value[0])}
        return RowCalibration(values=values, reasons=self._reasons(float(age[0]), float(predicted[0])))

    def _reasons(self, age: float, predicted: float) -> tuple[str, ...]:
        known = np.isfinite(age)
        value, what = (age, "the age") if known else (predicted, "the predicted age")
        if not np.isfinite(value) or self.ages.holds(value):
            return ()
        return (
            f"{what} of {value:.0f} years lies outside the {self.ages.first_year} to {self.ages.last_year} years of "
            "the calibration",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON holds them."""
        plain = self.model_dump(mode="json", exclude={"correction": {"reference"}})
        for kind in ("people", "rows"):
            plain["reference"][kind] = sorted(plain["reference"][kind])
        return plain

    def to_json(self) -> str:
        """The file's text; equal calibrations give equal texts."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_dict(cls, document: Any, *, source: str | os.PathLike[str] = FILE_NAME) -> Calibration:
        """From :meth:`to_dict`; :class:`InputError` names every fault."""
        if isinstance(document, dict) and isinstance(document.get("correction"), dict):
            # Written once, for both: the correction was fitted on people of this reference.
            document = {**document, "correction": {**document["correction"], "reference": document.get("reference")}}
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()[:6])
            raise InputError(
                "not a calibration file, or of another version",
                source=source,
                found=faults,
                remedy="fit it anew with agezoo calibrate, or remove it; then predictions carry no interval",
            ) from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what :meth:`save` wrote; :class:`InputError` if it is something else."""
        return cls.from_dict(read_json(path, "calibration file"), source=path)


def fit_calibration(
    table: pd.DataFrame,
    *,
    correction: Method = "beheshti",
    by: str | None = None,
    level: float = 0.9,
    how: str = "out of fold",
    weights_sha256: Sequence[str] | None = None,
    datalist_sha256: str | None = None,
    prediction: str = "predicted_age_years",
) -> Calibration:
    """Fit everything on predictions of people on whom the model was not trained.

    Parameters
    ----------
    table
        Prediction table, usually ``out_of_fold.csv`` of a cross-validation.
    correction
        Bias correction, or ``"none"``.
    by
        Column whose values are fitted apart, e.g. ``modality``. A value with too few people gets neither correction
        nor interval, which the notes say.
    level
        Share of people whose true age the interval shall hold.
    how
        What the predictions are.
    weights_sha256
        Checksums of the weight files it shall hold for; those named in the table when omitted.
    datalist_sha256
        Checksum of the cohort's datalist.
    prediction
        Column of the predicted age.

    Raises
    ------
    InputError
        If a column is missing or no row has both an age and a prediction.
    """
    require_columns(table, by, prediction)
    used = table[table["age_years"].notna() & table[prediction].notna()].reset_index(drop=True)
    if used.empty:
        raise InputError(
            "nothing to calibrate on: no row has both an age and a prediction",
            source="prediction table",
            found=f"{len(table)} rows",
        )
    intervals, notes = fit_intervals(used, level=level, by=by, prediction=prediction)
    reference = ReferencePeople.of(used, prediction)
    fitted, said = _fit_correction(used, correction, by, prediction)
    if fitted is not None:
        fitted = fitted.model_copy(update={"reference": reference})
    years = np.floor(used["age_years"].to_numpy(dtype=np.float64)).astype(int)
    if weights_sha256 is None:
        # A table from elsewhere may hold anything in that column.
        weights_sha256 = [value for value in _values(used, "weights_sha256") if _SHA256.fullmatch(value)]
    return Calibration(
        fitted_on=FittedOn(
            how=how,
            rows=len(used),
            subjects=len(np.unique(subject_codes(used))),
            origin=_origin(used),
            bundle=_only(used, "bundle"),
            bundle_version=_only(used, "bundle_version"),
            datalist_sha256=datalist_sha256,
            weights_sha256=tuple(sorted(set(weights_sha256))),
        ),
        correction=fitted,
        intervals=intervals,
        ages=AgeHistogram(first_year=int(years.min()), counts=tuple(np.bincount(years - years.min()).tolist())),
        reference=reference,
        notes=(*notes, *said),
    )


def find_calibration(weights_files: Sequence[Weights]) -> Calibration | None:
    """The calibration that holds for weights, or None.

    ``calibration.json`` is looked for in the folder of each weight file and in that folder's parent, where a
    cross-validation has it. One that does not record the checksums of all these weights is left aside, which the log
    says.

    Raises
    ------
    InputError
        If such a file cannot be read or is no calibration file.
    """
    folders = [folder for file in weights_files for folder in (file.path.parent, file.path.parent.parent)]
    for path in dict.fromkeys(folder / FILE_NAME for folder in folders):
        if not path.is_file():
            continue
        calibration = Calibration.load(path)
        strange = [file.path.name for file in weights_files if file.sha256 not in calibration.fitted_on.weights_sha256]
        if not strange:
            return calibration
        _log.info("%s is left aside: it was not fitted for %s", path, ", ".join(strange[:3]))
    return None


def _fit_correction(
    used: pd.DataFrame, method: Method, by: str | None, prediction: str
) -> tuple[BiasCorrection | None, tuple[str, ...]]:
    if method == "none":
        return None, ()
    try:
        return BiasCorrection.fit_where_possible(used, method, by=by, prediction=prediction)
    except InputError as error:
        return None, (f"No bias correction: {error.problem} ({error.source}: {error.found}).",)


def _origin(used: pd.DataFrame) -> Literal["real", "phantom", "unknown"]:
    origins = _values(used, "weights_origin")
    return "phantom" if "phantom" in origins else "real" if origins else "unknown"


def _values(used: pd.DataFrame, name: str) -> list[str]:
    return sorted({str(value) for value in used[name].dropna()}) if name in used else []


def _only(used: pd.DataFrame, name: str) -> str | None:
    values = _values(used, name)
    return values[0] if len(values) == 1 else None


def _number(value: Any) -> np.ndarray[Any, Any]:
    return np.array([np.nan if value is None else float(value)])


def _text(row: Mapping[str, Any], by: str | None) -> str | None:
    value = None if by is None else row.get(by)
    return None if value is None else str(value).strip()
