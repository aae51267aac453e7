"""Bias correction of predicted ages as an object that is fitted on a reference and applied to other people.

After any of these corrections the gap no longer depends on age, because age was taken out of it (or, by Cole's way,
the spread was stretched). The corrected ages serve to compare people of different ages; how accurate the model is,
only the raw ages tell: subtracting a multiple of the true age from the error makes any model look better (Butler ER
et al. Hum Brain Mapp 2021;42:4092-4101; de Lange AMG et al. Hum Brain Mapp 2022;43:3113-3129).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from agezoo.analysis.bias_methods import BiasMethod, GroupCorrection, fit_group
from agezoo.analysis.reference_people import ReferencePeople, subject_codes
from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError

FloatArray = NDArray[np.float64]

#: Name of the one group where nothing is fitted apart.
ALL = "all"


class BiasCorrection(BaseModel):
    """A fitted correction.

    Attributes
    ----------
    method
        ``beheshti``, ``cole``, ``quadratic`` or ``age_level``; see :func:`agezoo.analysis.bias_methods.fit_group`.
    by
        Column whose values were fitted apart; None: everybody together.
    prediction
        Column of the raw predicted age.
    groups
        Fit per value of `by`; under :data:`ALL` without one.
    reference
        The people it was fitted on, recognisable but not named.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: BiasMethod
    by: str | None = None
    prediction: str = "predicted_age_years"
    groups: dict[str, GroupCorrection]
    reference: ReferencePeople

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        method: BiasMethod,
        *,
        by: str | None = None,
        prediction: str = "predicted_age_years",
    ) -> BiasCorrection:
        """Fit on a reference, usually the out-of-fold predictions of a cross-validation.

        Parameters
        ----------
        table
            Prediction table. Rows without age, prediction or value of `by` are left out; several rows of one
            ``subject_id`` weigh together as much as one person's single row.
        method, by, prediction
            As the attributes.

        Raises
        ------
        InputError
            If a column is missing, or a group has too few people (:data:`agezoo.analysis.bias_methods.MIN_SUBJECTS`),
            ages that do not vary, or a slope that cannot be inverted.
        """
        return cls._fit(table, method, by, prediction, leave_out=None)

    @classmethod
    def fit_where_possible(
        cls,
        table: pd.DataFrame,
        method: BiasMethod,
        *,
        by: str | None = None,
        prediction: str = "predicted_age_years",
    ) -> tuple[BiasCorrection, tuple[str, ...]]:
        """As :meth:`fit`, but a group that allows no fit is left out and said, as long as another allows one."""
        notes: list[str] = []
        return cls._fit(table, method, by, prediction, leave_out=notes), tuple(notes)

    @classmethod
    def _fit(
        cls, table: pd.DataFrame, method: BiasMethod, by: str | None, prediction: str, leave_out: list[str] | None
    ) -> BiasCorrection:
        require_columns(table, by, prediction)
        used = table[table["age_years"].notna() & table[prediction].notna()].reset_index(drop=True)
        labels = group_labels(used, by)
        used, labels = used[labels.notna()].reset_index(drop=True), labels[labels.notna()].reset_index(drop=True)
        age, predicted = _floats(used, "age_years"), _floats(used, prediction)
        subject = subject_codes(used)
        groups: dict[str, GroupCorrection] = {}
        first_error: InputError | None = None
        for name in sorted(labels.unique()):
            part = (labels == name).to_numpy()
            title = f"{by} {name}" if by else "the reference"
            try:
                groups[name] = fit_group(method, age[part], predicted[part], subject[part], name=title)
            except InputError as error:
                if leave_out is None:
                    raise
                first_error = first_error or error
                leave_out.append(f"No correction for {title}: {error.problem} ({error.found}).")
        if not groups:
            raise first_error or InputError(
                "nothing to fit a bias correction on",
                source=by or "the reference",
                found=f"no row of {len(table)} has an age, a prediction{f' and {by}' if by else ''}",
            )
        reference = ReferencePeople.of(used, prediction)
        return cls(method=method, by=by, prediction=prediction, groups=groups, reference=reference)

    @property
    def n_rows(self) -> int:
        """Rows it was fitted on."""
        return sum(group.n_rows for group in self.groups.values())

    def apply(self, table: pd.DataFrame) -> pd.DataFrame:
        """Correct other people's ages.

        Returns
        -------
        DataFrame
            A copy with ``corrected_age_years`` and ``corrected_gap_years`` (corrected - true age) written anew, and
            for ``age_level`` with ``gap_z``. The raw columns stay. Not a number where the age is unknown (``cole``
            corrects the age all the same), the group was not in the reference, or ``age_level`` has no such age.

        Raises
        ------
        InputError
            If the table has people of the reference, or a column is missing.
        """
        return self.applied(table)[0]

    def applied(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """:meth:`apply`, with what must be said of the rows that were left empty or lie outside the reference."""
        require_columns(table, self.by, self.prediction)
        self.reference.refuse(table, self.prediction, what="bias correction")
        return self._written(table)

    def corrected_values(
        self, age_years: FloatArray, predicted_age_years: FloatArray, group: str | None
    ) -> tuple[FloatArray, FloatArray]:
        """Corrected ages and z of the gap of one group, each of shape ``(n,)``; see :meth:`apply`."""
        fitted = self.groups.get(ALL if self.by is None else str(group))
        if fitted is None:
            empty = np.full(np.shape(age_years), np.nan)
            return empty, empty.copy()
        return (
            fitted.corrected_years(age_years, predicted_age_years),
            fitted.gap_z(age_years, predicted_age_years),
        )

    def _written(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        age, predicted = _floats(table, "age_years"), _floats(table, self.prediction)
        labels = group_labels(table, self.by)
        corrected, z = np.full(len(table), np.nan), np.full(len(table), np.nan)
        notes = []
        usable = np.isfinite(predicted)
        for name in sorted(labels[usable].dropna().unique()):
            part = (labels == name).to_numpy() & usable
            corrected[part], z[part] = self.corrected_values(age[part], predicted[part], name)
            fitted = self.groups.get(name)
            if fitted is None:
                notes.append(f"{_rows(part.sum())} {self.by} {name}, which the reference lacks: not corrected.")
                continue
            outside = part & np.isfinite(age) & ~fitted.covers(age)
            if outside.any():
                what = "not corrected" if self.method == "age_level" else "corrected by extrapolation"
                notes.append(
                    f"{_rows(outside.sum())} an age outside the reference's {fitted.age_min_years:.0f} to "
                    f"{fitted.age_max_years:.0f} years{f' ({self.by} {name})' if self.by else ''}: {what}."
                )
            gaps = part & np.isfinite(age) & ~outside & ~np.isfinite(corrected)
            if gaps.any():
                notes.append(f"{_rows(gaps.sum())} an age around which the reference has too few: not corrected.")
        n_unlabelled = int((labels.isna().to_numpy() & usable).sum())
        if n_unlabelled:
            notes.append(f"{_rows(n_unlabelled)} no value of {self.by}: not corrected.")
        n_ageless = int((usable & ~np.isfinite(age)).sum())
        if n_ageless:
            what = "age corrected, no gap" if self.method == "cole" else "not corrected, as the method needs it"
            notes.append(f"{_rows(n_ageless)} no known age: {what}.")
        return with_corrected(table, corrected, z if self.method == "age_level" else None), tuple(notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON holds them."""
        plain = self.model_dump(mode="json")
        for kind in ("people", "rows"):
            plain["reference"][kind] = sorted(plain["reference"][kind])
        return plain

    @classmethod
    def from_dict(cls, document: Any, *, source: str | os.PathLike[str] = "bias correction") -> BiasCorrection:
        """From :meth:`to_dict`; :class:`InputError` names every fault."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors())
            raise InputError("not a bias correction", source=source, found=faults) from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a JSON file and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BiasCorrection:
        """Read what :meth:`save` wrote; :class:`InputError` if it is something else."""
        return cls.from_dict(read_json(path, "bias correction"), source=path)


def cross_fitted(
    table: pd.DataFrame,
    method: BiasMethod,
    *,
    by: str | None = None,
    fold: str = "fold",
    prediction: str = "predicted_age_years",
) -> pd.DataFrame:
    """Correct each fold by a correction that is fitted on the people of the other folds.

    Returns
    -------
    DataFrame
        As :meth:`BiasCorrection.apply` gives it; rows without a fold stay uncorrected.

    Raises
    ------
    InputError
        If there are fewer than two folds, or no fold's others allow a fit.
    """
    return cross_fit(table, method, by=by, fold=fold, prediction=prediction)[0]


def cross_fit(
    table: pd.DataFrame,
    method: BiasMethod,
    *,
    by: str | None = None,
    fold: str = "fold",
    prediction: str = "predicted_age_years",
    fit_on: NDArray[np.bool_] | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...], dict[str, BiasCorrection]]:
    """:func:`cross_fitted` with what must be said of rows left empty and the correction of each fold by its name.

    With `fit_on`, shape ``(n,)``, only these rows of the other folds are fitted on; all rows are corrected.
    """
    require_columns(table, by, prediction)
    corrected, z = np.full(len(table), np.nan), np.full(len(table), np.nan)
    notes: dict[str, None] = {}
    fits: dict[str, BiasCorrection] = {}
    first_error: InputError | None = None
    for name, inside, others in folds_apart(table, fold):
        fitted_on = others if fit_on is None else others & fit_on
        try:
            fits[name], left_out = BiasCorrection.fit_where_possible(
                table[fitted_on], method, by=by, prediction=prediction
            )
        except InputError as error:
            first_error = first_error or error
            notes[f"Fold {name} is not corrected: {error.problem} ({error.source}: {error.found})."] = None
            continue
        # Not asked whether people are shared: the others are without the people of this fold.
        part, said = fits[name]._written(table[inside])
        said = (*left_out, *said)
        corrected[inside] = part["corrected_age_years"]
        if "gap_z" in part:
            z[inside] = part["gap_z"]
        notes |= dict.fromkeys(f"Fold {name}: {note}" for note in said)
    if first_error is not None and not fits:
        raise first_error
    n_without = int((table[fold].isna() & table[prediction].notna()).sum())
    if n_without:
        notes[f"{_rows(n_without)} no fold: not corrected."] = None
    return with_corrected(table, corrected, z if method == "age_level" else None), tuple(notes), fits


def folds_apart(table: pd.DataFrame, fold: str) -> list[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Each fold's name, its rows, and the rows of other folds without the people that are in it.

    Raises
    ------
    InputError
        If the column is missing or has fewer than two folds.
    """
    names = table.loc[table[fold].notna(), fold].unique() if fold in table else []
    if len(names) < 2:
        raise InputError(
            "cross-fitting needs predictions of at least two folds",
            source=fold,
            found=f"{len(names)} folds" if fold in table else "no such column",
            remedy="bring an out-of-fold table (agezoo crossval), or a reference of other people",
        )
    subject = subject_codes(table)
    parts = []
    for name in sorted(names):
        inside = (table[fold] == name).fillna(False).to_numpy(dtype=np.bool_)
        others = table[fold].notna().to_numpy() & ~np.isin(subject, subject[inside])
        parts.append((str(name), inside, others))
    return parts


def group_labels(table: pd.DataFrame, by: str | None) -> pd.Series:
    """The group of each row as text; missing where the row has no value of `by`."""
    if by is None:
        return pd.Series(ALL, index=table.index, dtype="str")
    labels = [None if pd.isna(value) or not str(value).strip() else str(value).strip() for value in table[by]]
    return pd.Series(labels, index=table.index, dtype="str")


def with_corrected(table: pd.DataFrame, corrected_age_years: FloatArray, gap_z: FloatArray | None) -> pd.DataFrame:
    """A copy of a table with the corrected columns written anew."""
    result = table.copy()
    result["corrected_age_years"] = corrected_age_years
    result["corrected_gap_years"] = corrected_age_years - _floats(table, "age_years")
    if gap_z is not None:
        result["gap_z"] = gap_z
    return result


def require_columns(table: pd.DataFrame, by: str | None, prediction: str) -> None:
    """Raise :class:`InputError` if the table lacks what a correction reads."""
    missing = [name for name in ("age_years", prediction, by) if name is not None and name not in table.columns]
    if missing:
        raise InputError(
            "columns are missing: " + ", ".join(missing),
            source="prediction table",
            found="columns " + ", ".join(map(str, table.columns)),
        )


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """Content of a JSON file; :class:`InputError` if it cannot be read."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the {what} cannot be read", source=path, found=error.strerror) from None
    except ValueError as error:
        raise InputError(f"the {what} is not JSON", source=path, found=str(error)) from None


def _floats(table: pd.DataFrame, name: str) -> FloatArray:
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _rows(n: int) -> str:
    return "1 row has" if n == 1 else f"{n} rows have"
