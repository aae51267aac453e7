"""What the atlas of a population leaves in its folder: one row of region shares per case, regions, shuffled maps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agezoo.analysis.bootstrap import FloatArray
from agezoo.errors import InputError

#: Group of all cases.
ALL = "all"

_SEXES = {"female": ("F", "FEMALE"), "male": ("M", "MALE")}
_AGERS = ("accelerated", "decelerated")
_REMEDY = "run the atlas again into this folder; what is finished is not done again"
_NEEDED = (
    "cases.csv",
    "regions.csv",
    "population/null.npz",
    "population/all_mean.nii.gz",
    "population/all_sd.nii.gz",
    "population/all_count.nii.gz",
    "template/water.nii.gz",
    "template/labels.nii.gz",
    "template/mask.nii.gz",
)


@dataclass(frozen=True, eq=False)
class AtlasInput:
    """Cases of an atlas that have a map on the template, and those that have none.

    Attributes
    ----------
    folder
        Where it was read from.
    cases
        The n usable rows of ``cases.csv`` without the columns of regions; ``sex`` is F, M or None.
    failed
        Rows that have no map, with ``error``.
    regions
        R rows: ``region``, ``label``, ``volume_share`` (of the template's body, 0..1).
    shares
        Share of the absolute map's sum inside the body that lies in each region, shape ``(n, R)``.
    signed
        Mean signed value of the map in each region, shape ``(n, R)``; not a number where unknown.
    person
        Number of each row's person, shape ``(n,)``; visits of one person have one number.
    groups
        Name -> rows that belong to it, shape ``(n,)``; ``all`` is first. A case can be in several.
    null
        Name of a group -> shares of K shuffled maps, each the mean over the group's cases, shape ``(K, R)``.
    facts
        What ``atlas.json`` tells about how the maps were made; empty without it.
    phantom
        The weights that predicted were trained on phantoms.
    notes
        What the data lack.
    """

    folder: Path
    cases: pd.DataFrame
    failed: pd.DataFrame
    regions: pd.DataFrame
    shares: FloatArray
    signed: FloatArray
    person: NDArray[np.intp]
    groups: Mapping[str, NDArray[np.bool_]]
    null: Mapping[str, FloatArray]
    facts: Mapping[str, Any]
    phantom: bool
    notes: tuple[str, ...]

    @property
    def region_names(self) -> list[str]:
        """Names in the order of the columns."""
        return [str(name) for name in self.regions["region"]]

    @property
    def volume_shares(self) -> FloatArray:
        """Share of the body that each region takes, shape ``(R,)``; not a number for an empty region."""
        volume = self.regions["volume_share"].to_numpy(dtype=np.float64)
        return np.where(volume > 0, volume, np.nan)

    @property
    def region_dice(self) -> Mapping[str, float]:
        """Region -> mean Dice overlap with the template after registration, as far as it was measured."""
        return dict(self.facts.get("mean_dice_of_regions", {}))

    def n_people(self, group: str) -> int:
        """How many different people a group has."""
        return len(np.unique(self.person[self.groups[group]]))


def read_atlas(folder: str | Path) -> AtlasInput:
    """Read the tables of an atlas; maps stay on disk.

    Raises
    ------
    InputError
        If a file or column is missing, tables do not fit together, or no case has a map.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("there is no such folder", source=folder, expected="the folder that the atlas was written to")
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise InputError("files of the atlas are missing", source=folder, found=", ".join(missing), remedy=_REMEDY)
    regions = _regions(folder / "regions.csv")
    names = [str(name) for name in regions["region"]]
    table = pd.read_csv(folder / "cases.csv", dtype={"subject_id": "string", "session": "string"})
    shares, signed = _region_columns(table, names, folder / "cases.csv")
    error = table["error"].astype("string") if "error" in table else pd.Series(pd.NA, table.index, dtype="string")
    error = error.where(error.str.strip().ne(""))
    incomplete = error.isna() & ~np.isfinite(shares).all(axis=1)
    error = error.mask(incomplete, "a share is missing")
    plain = table[[name for name in table.columns if not name.startswith(("share:", "signed:"))]].assign(error=error)
    usable = error.isna().to_numpy(dtype=bool)
    if not usable.any():
        raise InputError(
            "no case has a map on the template",
            source=folder / "cases.csv",
            found=f"{len(table)} rows, first error: {error.iloc[0] if len(error) else 'none'}",
            remedy="mend what the column error names, then run the atlas again",
        )
    cases = plain[usable].reset_index(drop=True)
    cases["sex"] = _sexes(cases["sex"])
    person = _persons(cases)
    groups = _groups(cases)
    null, notes = _null(folder / "population" / "null.npz", groups, len(names))
    return AtlasInput(
        folder,
        cases,
        plain[~usable].reset_index(drop=True),
        regions,
        shares[usable],
        signed[usable],
        person,
        groups,
        null,
        _facts(folder / "atlas.json"),
        _phantom(folder / "predictions.csv"),
        (*_unknown(cases), *notes),
    )


def _regions(path: Path) -> pd.DataFrame:
    regions = pd.read_csv(path, dtype={"region": "string"})
    for name in ("region", "volume_share"):
        if name not in regions:
            raise InputError(f"column {name} is missing", source=path, found=", ".join(map(str, regions.columns)))
    volume = pd.to_numeric(regions["volume_share"], errors="coerce")
    if not len(regions) or regions["region"].isna().any() or regions["region"].duplicated().any():
        raise InputError("regions need names, each once", source=path, found=f"{len(regions)} rows")
    if not volume.between(0, 1).all() or not volume.gt(0).any():
        raise InputError("volume_share is no share of the body", source=path, expected="numbers from 0 to 1")
    return regions.assign(volume_share=volume.astype("float64")).reset_index(drop=True)


def _region_columns(table: pd.DataFrame, names: list[str], path: Path) -> tuple[FloatArray, FloatArray]:
    needed = ["subject_id", "age_years", "sex", *(f"share:{name}" for name in names)]
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputError("columns are missing", source=path, found=", ".join(missing), remedy=_REMEDY)
    signed = table.reindex(columns=[f"signed:{name}" for name in names])
    return (
        table[[f"share:{name}" for name in names]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64),
        signed.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64),
    )


def _sexes(values: pd.Series) -> pd.Series:
    words = values.astype("string").str.strip().str.upper()
    known = {word: letter for letter, words_of in (("F", _SEXES["female"]), ("M", _SEXES["male"])) for word in words_of}
    return words.map(known).astype(object).where(lambda letter: letter.notna(), None)


def _persons(cases: pd.DataFrame) -> NDArray[np.intp]:
    """A row without subject_id is a person of its own."""
    subject = cases["subject_id"].astype(object)
    own = pd.Series([("row", number) for number in range(len(cases))], index=cases.index, dtype=object)
    codes, _ = pd.factorize(subject.where(subject.notna(), own))
    return codes.astype(np.intp)


def _groups(cases: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    groups = {ALL: np.ones(len(cases), dtype=bool)}
    for name, letter in (("female", "F"), ("male", "M")):
        groups[name] = (cases["sex"] == letter).to_numpy(dtype=bool)
    if "age_group" in cases:
        named = cases["age_group"].astype("string").map(_age_group, na_action="ignore")
        for name in sorted(named.dropna().unique(), key=age_bounds):
            groups[str(name)] = named.eq(name).fillna(False).to_numpy(dtype=bool)
    if "ager" in cases:
        ager = cases["ager"].astype("string").str.strip()
        groups |= {name: ager.eq(name).fillna(False).to_numpy(dtype=bool) for name in _AGERS}
    return {name: rows for name, rows in groups.items() if rows.any()}


def _age_group(word: str) -> str | None:
    """``45-54``, ``45 to 54`` or ``age_45_54`` as ``age_45_54``."""
    numbers = re.findall(r"\d+(?:\.\d+)?", word)
    return f"age_{numbers[0]}_{numbers[1]}" if len(numbers) == 2 else None


def age_bounds(group: str) -> tuple[float, float]:
    """Ages in years that the name of an age group stands for."""
    _, low, high = group.split("_")
    return float(low), float(high)


def _null(
    path: Path, groups: Mapping[str, NDArray[np.bool_]], n_regions: int
) -> tuple[dict[str, FloatArray], list[str]]:
    null: dict[str, FloatArray] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            values = np.asarray(arrays[name], dtype=np.float64)
            if name not in groups or not values.size:
                continue
            if values.ndim != 2 or values.shape[1] != n_regions:
                raise InputError(
                    f"the shuffled maps of group {name} do not fit the regions",
                    source=path,
                    found=f"shape {values.shape}",
                    expected=f"one column for each of {n_regions} regions",
                    remedy=_REMEDY,
                )
            null[name] = values[np.isfinite(values).all(axis=1)]
    without = [name for name in groups if name not in null or not len(null[name])]
    null = {name: values for name, values in null.items() if len(values)}
    return null, [f"No shuffled maps, so no test against chance: {', '.join(without)}."] if without else []


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
        dice = facts.get("mean_dice_of_regions") or {}
        facts["mean_dice_of_regions"] = {str(name): float(value) for name, value in dice.items() if value is not None}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("the facts of the atlas cannot be read", source=path, found=error, remedy=_REMEDY) from error
    return facts


def _phantom(path: Path) -> bool:
    if not path.is_file():
        return False
    header = pd.read_csv(path, nrows=0)
    if "weights_origin" not in header:
        return False
    return bool(pd.read_csv(path, usecols=["weights_origin"])["weights_origin"].eq("phantom").any())


def _unknown(cases: pd.DataFrame) -> list[str]:
    notes = []
    for column, word in (("age_years", "age"), ("sex", "sex")):
        n = int(cases[column].isna().sum())
        if n:
            notes.append(f"The {word} of {n} scan{'s' if n != 1 else ''} is not known.")
    return notes
