"""Names and numbers of a survival analysis in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def in_words(name: str) -> str:
    """A column's or end point's name for people."""
    return name.replace("_", " ")


def file_name(name: str) -> str:
    """A name that is safe in a file name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "end_point"


def p_in_words(p: float) -> str:
    """A p value with its sign, e.g. ``"p = 0.03"``, ``"p < 0.001"``."""
    if p != p:
        return "p not defined"
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def counted(reasons: Mapping[str, int]) -> str:
    """Reasons with their numbers, e.g. ``"outcome unknown: 3; no gap: 1"``."""
    return "; ".join(f"{reason}: {n}" for reason, n in reasons.items())


def gathered(remarks: Sequence[tuple[str, str]], *, n_contexts: int) -> list[str]:
    """Remarks of the same words said once, with the contexts that they hold for unless they hold for all.

    Parameters
    ----------
    remarks
        (context, remark).
    n_contexts
        How many contexts there are in all.
    """
    contexts: dict[str, list[str]] = {}
    for context, remark in remarks:
        mine = contexts.setdefault(remark, [])
        if context not in mine:
            mine.append(context)
    return [
        remark if len(mine) == n_contexts else f"{'; '.join(mine)}: {remark[:1].lower()}{remark[1:]}"
        for remark, mine in contexts.items()
    ]
