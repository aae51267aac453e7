"""What only a phantom cohort can tell: how much of the planted individual deviation the gap recovers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agezoo.analysis.accuracy import row_counts

FloatArray = NDArray[np.float64]


def cohort_truth_figures(
    age_years: ArrayLike,
    predicted_age_years: ArrayLike,
    biological_age_years: ArrayLike,
    *,
    counts: ArrayLike | None = None,
) -> dict[str, FloatArray]:
    """Compare predictions with the age that the images were made from.

    Parameters
    ----------
    age_years, predicted_age_years, biological_age_years
        Chronological, predicted and imaged age in years, shape ``(n,)``; imaged = chronological + deviation.
    counts
        As in :func:`agezoo.analysis.accuracy.accuracy_figures`.

    Returns
    -------
    dict of arrays of shape ``(n_resamples,)``:

    ``best_possible_mae_years``
        Mean absolute deviation: the error on chronological age of a model that reads the imaged age perfectly.
        Chance and shrinkage towards the mean can take a model slightly below it.
    ``pcc_gap_deviation``
        Correlation of the gap (predicted - chronological age) with the planted deviation.
    ``mae_biological_years``, ``bias_biological_years``
        Mean absolute and mean error against the imaged age.
    """
    age = np.asarray(age_years, dtype=np.float64)
    predicted = np.asarray(predicted_age_years, dtype=np.float64)
    biological = np.asarray(biological_age_years, dtype=np.float64)
    weight = row_counts(counts, age.size)
    deviation, gap, error = biological - age, predicted - age, predicted - biological
    d, g = deviation - deviation.mean(), gap - gap.mean()
    terms = np.stack([np.abs(deviation), np.abs(error), error, d, d**2, g, g**2, d * g], axis=1)
    best, mae, bias, md, mdd, mg, mgg, mdg = ((weight @ terms) / weight.sum(axis=1)[:, None]).T
    spread = (mdd - md**2) * (mgg - mg**2)
    return {
        "best_possible_mae_years": best,
        "pcc_gap_deviation": (mdg - md * mg) / np.sqrt(np.where(spread > 1e-12, spread, np.nan)),
        "mae_biological_years": mae,
        "bias_biological_years": bias,
    }
