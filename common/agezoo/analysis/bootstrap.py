"""Bootstrap intervals that draw whole subjects.

Two scans of one person are not two independent observations, so a resample draws subjects with replacement and
takes all of a drawn subject's rows (cluster bootstrap; Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Figures = Callable[[FloatArray | None], Mapping[str, FloatArray]]

#: Fewer subjects than this give no interval: so few values cannot show how much they vary.
MIN_SUBJECTS = 5

# Rows times resamples held in memory at once (8 bytes each).
_CELLS = 4_000_000


def resample_counts(
    subjects: ArrayLike, *, n_bootstrap: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """How often each row counts in each bootstrap resample of the subjects.

    Parameters
    ----------
    subjects
        Subject of each row, shape ``(n,)``; any values that compare equal within a subject.
    n_bootstrap
        Number of resamples.
    rng
        Source of randomness.

    Yields
    ------
    Matrices ``(m, n)`` of whole numbers as float, together ``n_bootstrap`` resamples; each row of a subject has
    the subject's count, and a resample draws as many subjects as there are.
    """
    _, code = np.unique(np.asarray(subjects), return_inverse=True)
    n_subjects = int(code.max()) + 1
    step = max(1, _CELLS // len(code))
    for start in range(0, n_bootstrap, step):
        m = min(step, n_bootstrap - start)
        drawn = rng.integers(n_subjects, size=(m, n_subjects)) + n_subjects * np.arange(m)[:, None]
        drawn_times = np.bincount(drawn.ravel(), minlength=m * n_subjects).reshape(m, n_subjects)
        yield drawn_times[:, code].astype(np.float64)


def estimate_with_intervals(
    figures: Figures, subjects: ArrayLike, *, n_bootstrap: int = 2000, seed: int | list[int] = 0
) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    """Estimates and 95 % percentile bootstrap intervals of several figures at once.

    Parameters
    ----------
    figures
        Called with ``None`` for the estimates and with count matrices ``(m, n)`` for the resamples; gives arrays
        of shape ``(1,)`` and ``(m,)`` by name.
    subjects
        Subject of each row, shape ``(n,)``.
    n_bootstrap
        Number of resamples; 0 gives no intervals.
    seed
        Equal seeds give equal intervals.

    Returns
    -------
    The estimates by name (``None`` where undefined), and the intervals ``[low, high]`` by name: ``None`` where the
    estimate is undefined, with fewer than ``MIN_SUBJECTS`` subjects, or where the figure is undefined in more
    than one resample in twenty.
    """
    estimates: dict[str, float | None] = {name: _known(value[0]) for name, value in figures(None).items()}
    intervals: dict[str, list[float] | None] = dict.fromkeys(estimates)
    if n_bootstrap < 1 or len(np.unique(np.asarray(subjects))) < MIN_SUBJECTS:
        return estimates, intervals
    rng = np.random.default_rng(seed)
    parts = [figures(counts) for counts in resample_counts(subjects, n_bootstrap=n_bootstrap, rng=rng)]
    for name, estimate in estimates.items():
        draws = np.concatenate([part[name] for part in parts])
        draws = draws[np.isfinite(draws)]
        if estimate is not None and len(draws) >= 0.95 * n_bootstrap:
            low, high = np.percentile(draws, [2.5, 97.5])
            intervals[name] = [float(low), float(high)]
    return estimates, intervals


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
