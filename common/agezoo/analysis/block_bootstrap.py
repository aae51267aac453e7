"""Bootstrap intervals of figures over many parts of one table at once.

Figures that are functions of means need no rows once these are summed by person: a resample of 40,000 rows is a product
of two matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agezoo.analysis.bootstrap import MIN_SUBJECTS, FloatArray, estimate_with_intervals


@dataclass(frozen=True)
class Block:
    """Rows of a table whose figures are wanted.

    Attributes
    ----------
    labels
        First columns of the row of results.
    person
        Number of each row's person, shape ``(n,)``.
    terms
        What each row adds to the means, shape ``(n, k)``.
    figures
        From means ``(m, k)`` to figures by name, each of shape ``(m,)``.
    """

    labels: Mapping[str, str]
    person: NDArray[np.intp]
    terms: FloatArray
    figures: Callable[[FloatArray], Mapping[str, FloatArray]]


def resampled_rows(
    blocks: Sequence[Block], person: NDArray[np.intp], *, seed: int, n_bootstrap: int
) -> list[dict[str, Any]]:
    """One row of results per block.

    Parameters
    ----------
    blocks
        Parts of one table, which may overlap.
    person
        Number of the person of each row of the whole table; whole people are drawn, the same for all blocks.
    seed, n_bootstrap
        Of the bootstrap.

    Returns
    -------
    Per block its labels, ``n`` (rows), ``n_people``, and every figure with ``<figure>_low`` and ``<figure>_high``; not
    a number where a figure is not defined or has no interval (fewer than
    :data:`agezoo.analysis.bootstrap.MIN_SUBJECTS` people).
    """
    people = np.unique(person)
    sums = [_sums_by_person(block, people) for block in blocks]
    ends = np.cumsum([0, *(part.shape[1] for part in sums)])
    stacked = np.concatenate(sums, axis=1)

    def figures(counts: FloatArray | None) -> dict[str, FloatArray]:
        totals = stacked.sum(axis=0)[None, :] if counts is None else counts @ stacked
        found = {}
        with np.errstate(invalid="ignore", divide="ignore"):
            for number, block in enumerate(blocks):
                part = totals[:, ends[number] : ends[number + 1]]
                for name, values in block.figures(part[:, :-1] / part[:, -1:]).items():
                    found[f"{number} {name}"] = values
        return found

    estimates, bounds = estimate_with_intervals(figures, people, n_bootstrap=n_bootstrap, seed=seed)
    rows: list[dict[str, Any]] = []
    for block in blocks:
        n_people = len(np.unique(block.person))
        rows.append({**block.labels, "n": len(block.person), "n_people": n_people})
    for key, value in estimates.items():
        number, name = int(key.split(" ")[0]), key.split(" ", 1)[1]
        low, high = (bounds[key] if rows[number]["n_people"] >= MIN_SUBJECTS else None) or (None, None)
        for column, figure in ((name, value), (f"{name}_low", low), (f"{name}_high", high)):
            rows[number][column] = float("nan") if figure is None else figure
    return rows


def _sums_by_person(block: Block, people: NDArray[np.intp]) -> FloatArray:
    """Sums of the terms, and in the last column the rows, of each person, shape ``(n_people, k + 1)``."""
    code = np.searchsorted(people, block.person)
    terms = (*block.terms.T, np.ones(len(code)))
    return np.stack([np.bincount(code, weights=term, minlength=len(people)) for term in terms], axis=1)
