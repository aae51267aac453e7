"""Whether a cascade's second stage looks at the image or repeats one age per bin of the first stage's age."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

COLLAPSED_SD_YEARS = 0.1
"""Pooled SD of the ages within a bin below which the second stage counts as collapsed; our choice."""

MIN_DEGREES_OF_FREEDOM = 5
"""People beyond the first of each bin that it takes for a verdict; a few are alike by chance."""

_SAME_BIN_YEARS = 1e-3


@dataclass(frozen=True)
class BinCollapseFigures:
    """How people differ whom the second stage can tell apart by the image alone.

    It knows three things: the image, the first stage's age rounded to a bin, and the sex. People of one bin (and of one
    sex and one model, where they are given) differ for it by the image alone. Only bins with two or more people count;
    of a figure that is not defined the value is NaN.

    Attributes
    ----------
    n, n_bins
        People who count, and their bins (each sex and model of a bin by itself).
    within_bin_sd_years
        Pooled SD of the predicted ages within the bins: the root of the squared deviations from the bins' means, added
        up, over n - n_bins.
    within_bin_correlation
        Correlation, within the bins, of the residual that the second stage adds with the one that is right, pooled
        likewise; 0 says that it adds nothing about the person.
    between_bin_share
        Share of the variance of the predicted ages that lies between the bins, 0 to 1; 1 is one age per bin.
    """

    n: int
    n_bins: int
    within_bin_sd_years: float
    within_bin_correlation: float
    between_bin_share: float

    @property
    def is_collapsed(self) -> bool:
        """Whether the SD is below 0.1 years, of enough people to tell."""
        return self.n - self.n_bins >= MIN_DEGREES_OF_FREEDOM and self.within_bin_sd_years < COLLAPSED_SD_YEARS

    @property
    def verdict(self) -> str:
        """What a user must know of a collapse; empty where there is none."""
        if not self.is_collapsed:
            return ""
        return (
            f"the second stage has collapsed: people whom the first stage puts into the same bin get nearly the same "
            f"age (SD {self.within_bin_sd_years:.2g} years within {self.n_bins} bins of {self.n} people), whatever "
            "their images show; train it longer or with a larger learning rate, or use the first stage alone"
        )


def bin_collapse_figures(
    predicted_age_years: ArrayLike,
    discretised_age_years: ArrayLike,
    *,
    age_years: ArrayLike | None = None,
    sex: ArrayLike | None = None,
    model: ArrayLike | None = None,
) -> BinCollapseFigures | None:
    """Compare people within the bins of the first stage's age.

    Parameters
    ----------
    predicted_age_years
        Final ages, shape (n,).
    discretised_age_years
        The first stage's, rounded to its bins; equal values are one bin. NaN where there is none.
    age_years
        True ages, for the correlation; NaN where unknown.
    sex
        What the network was told, of any type; equal values are one sex.
    model
        Which model predicted, likewise; those of different folds would hide each other's collapse.

    Returns
    -------
    BinCollapseFigures or None
        None where nobody has a discretised age, as of a first stage alone.
    """
    predicted = np.asarray(predicted_age_years, dtype=np.float64)
    discretised = np.asarray(discretised_age_years, dtype=np.float64)
    known = np.isfinite(predicted) & np.isfinite(discretised)
    if not known.any():
        return None
    frame = pd.DataFrame({"predicted": predicted, "bin": np.round(discretised / _SAME_BIN_YEARS)})
    frame["age"] = np.nan if age_years is None else np.asarray(age_years, dtype=np.float64)
    frame["sex"], frame["model"] = _code(sex, len(frame)), _code(model, len(frame))
    frame = frame[known]
    keys = ["bin", "sex", "model"]
    frame = frame[frame.groupby(keys)["predicted"].transform("size") >= 2]
    n_bins = frame.groupby(keys).ngroups
    deviation = _within(frame, "predicted", keys)
    within = float(deviation @ deviation)
    total = frame["predicted"].to_numpy() - frame["predicted"].mean()
    everything = float(total @ total)
    return BinCollapseFigures(
        n=len(frame),
        n_bins=n_bins,
        within_bin_sd_years=math.sqrt(within / (len(frame) - n_bins)) if n_bins else math.nan,
        within_bin_correlation=_correlation(frame[frame["age"].notna()], keys),
        between_bin_share=1 - within / everything if everything > 1e-12 else math.nan,
    )


def _code(values: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """A number per different value; what is not known is a value like others."""
    if values is None:
        return np.zeros(n, dtype=np.int64)
    codes, _ = pd.factorize(np.array([str(value) for value in np.asarray(values, dtype=object)], dtype=object))
    return codes.astype(np.int64)


def _within(frame: pd.DataFrame, name: str, keys: list[str]) -> NDArray[np.float64]:
    """Deviations from the mean of the bin."""
    return np.asarray(frame[name] - frame.groupby(keys)[name].transform("mean"), dtype=np.float64)


def _correlation(frame: pd.DataFrame, keys: list[str]) -> float:
    """Within a bin the residual and the age itself deviate alike, so the ages do."""
    if frame.empty:
        return math.nan
    predicted, true = _within(frame, "predicted", keys), _within(frame, "age", keys)
    spread = float(predicted @ predicted) * float(true @ true)
    return float(predicted @ true) / math.sqrt(spread) if spread > 1e-12 else math.nan
