"""Labels that people have or have not, however a table writes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from agezoo.errors import InputError

_WORDS = {
    **dict.fromkeys(("1", "1.0", "yes", "y", "true", "positive", "present"), 1.0),
    **dict.fromkeys(("0", "0.0", "no", "n", "false", "negative", "absent"), 0.0),
}
_SHOWN = 6


@dataclass(frozen=True)
class BinaryLabel:
    """A label of every row.

    Attributes
    ----------
    name
        As the plan names it.
    values
        1 with the label, 0 without, not a number where not known or of neither group; the table's index.
    neither
        Whether the row's value is known and belongs to neither group; the table's index.
    """

    name: str
    values: pd.Series
    neither: pd.Series


def column_and_value(name: str, columns: Iterable[object]) -> tuple[str, str | None]:
    """Split ``column=value`` unless a column of the whole name is there; the value is None for a bare column."""
    if "=" not in name or name in set(columns):
        return name, None
    column, value = name.split("=", 1)
    return column.strip(), value.strip()


def binary_label(table: pd.DataFrame, name: str) -> BinaryLabel:
    """Read a label.

    Parameters
    ----------
    table
        The table.
    name
        A column of 0 and 1 (or yes and no, true and false, positive and negative, present and absent); or
        ``column=value``, which makes rows of that value 1 and rows of other values 0; or ``column=value/other``,
        which makes the rows of `other` 0 and leaves the rest out, e.g. ``diagnosis=AD/HC``.

    Raises
    ------
    InputError
        If the column or a value is absent, or a bare column holds other words.
    """
    column, wanted = column_and_value(name, table.columns)
    if column not in table.columns:
        raise InputError(
            f"label {name}: there is no column {column}", found="columns " + ", ".join(map(str, table.columns))
        )
    words = _words(table[column])
    if wanted is None:
        numbers = words.str.lower().map(_WORDS).astype("float64")
        foreign = words[words.notna() & numbers.isna()]
        if len(foreign):
            raise InputError(
                f"label {name} is not binary",
                found=_listed(words),
                expected="0 and 1, or yes and no; empty where it is not known",
                remedy=f"name the value that counts: {column}=VALUE, or {column}=VALUE/OTHER to leave the rest out",
            )
        return BinaryLabel(name, numbers, pd.Series(False, index=table.index))
    value, _, other = (part.strip() for part in wanted.partition("/"))
    known = set(words.dropna())
    for asked in (value, *([other] if other else [])):
        if asked not in known:
            raise InputError(f"label {name}: nobody has the value {asked} in column {column}", found=_listed(words))
    numbers = pd.Series(float("nan"), index=table.index)
    numbers[words == value] = 1.0
    numbers[words.notna() & ((words == other) if other else (words != value))] = 0.0
    return BinaryLabel(name, numbers, words.notna() & numbers.isna())


def _words(values: pd.Series) -> pd.Series:
    def word(value: object) -> str | None:
        if pd.isna(value):
            return None
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
        return text or None

    return pd.Series([word(value) for value in values], index=values.index, dtype="str")


def _listed(words: pd.Series) -> str:
    known = words.value_counts().index.tolist()
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return "the values " + ", ".join(known[:_SHOWN]) + more if known else "no value in any row"
