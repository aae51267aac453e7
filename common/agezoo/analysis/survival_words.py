"""Names and numbers of a survival analysis in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product


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


def gathered(remarks: Sequence[tuple[tuple[str, ...], str]], contexts: Sequence[tuple[str, ...]]) -> list[str]:
    """Remarks of the same words said once, with what they hold for unless they hold for all.

    Parameters
    ----------
    remarks
        (context, remark); a context is, for example, (end point, model, gap).
    contexts
        All contexts that there are.
    """
    held: dict[str, list[tuple[str, ...]]] = {}
    for context, remark in remarks:
        mine = held.setdefault(remark, [])
        if context not in mine:
            mine.append(context)
    texts = []
    for remark, mine in held.items():
        where = _where(mine, contexts)
        texts.append(f"{where}: {remark[:1].lower()}{remark[1:]}" if where else remark)
    return texts


def _where(mine: Sequence[tuple[str, ...]], contexts: Sequence[tuple[str, ...]]) -> str:
    """Contexts in words: ``"model 2, model 3"`` where they are those of every end point and gap."""
    parts = [list(dict.fromkeys(part)) for part in zip(*mine, strict=True)]
    every = [set(part) for part in zip(*contexts, strict=True)]
    if len(mine) != len(list(product(*parts))):
        return "; ".join(", ".join(context) for context in mine)
    return ", ".join(", ".join(part) for part, all_ in zip(parts, every, strict=True) if set(part) != all_)
