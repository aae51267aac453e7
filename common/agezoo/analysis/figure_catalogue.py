"""The figures in words: name, unit and how to read each, for the report's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FigureText:
    """Name, format and reading help of one figure of ``metrics.json``.

    Attributes
    ----------
    key
        Name in ``metrics.json``.
    name
        Name for people.
    form
        ``"years"``, ``"percent"`` (stored as share 0..1) or ``"plain"``.
    reading
        One sentence on how to read it.
    """

    key: str
    name: str
    form: str
    reading: str


ACCURACY = (
    FigureText(
        "mae_years", "Mean absolute error (MAE)", "years", "How far a prediction is from the true age on average."
    ),
    FigureText(
        "mae_sd_years", "SD of the absolute errors", "years", "How much the size of the error varies from scan to scan."
    ),
    FigureText("rmse_years", "Root mean squared error (RMSE)", "years", "Like the MAE, but large errors weigh more."),
    FigureText(
        "bias_years",
        "Bias (mean of predicted − true)",
        "years",
        "Above 0: ages are over-estimated on average; below 0: under-estimated.",
    ),
    FigureText(
        "pcc",
        "Pearson correlation (r)",
        "plain",
        "How well predictions follow age along a straight line; it does not see a constant offset and "
        "grows with the age range.",
    ),
    FigureText(
        "r2",
        "Coefficient of determination (R²)",
        "plain",
        "Share of the variance of age that is explained; 0 is no better than guessing the mean, negative is worse.",
    ),
    FigureText(
        "gap_age_slope",
        "Slope of the gap on age",
        "plain",
        "Years of error gained per year of age; negative: the young are made older and the old younger.",
    ),
    FigureText(
        "mae_of_guessing_the_mean_years",
        "MAE of guessing the mean",
        "years",
        "What giving everyone the mean age of these same rows would reach; a useful model lies well below.",
    ),
)

UNCERTAINTY = (
    FigureText("mean_sd_years", "Mean stated SD", "years", "How uncertain the model says it is."),
    FigureText(
        "coverage_50", "Inside the 50 % interval", "percent", "Should be 50 %; less means that the SDs are too small."
    ),
    FigureText("coverage_68", "Inside the 68 % interval", "percent", "Should be 68 %."),
    FigureText("coverage_90", "Inside the 90 % interval", "percent", "Should be 90 %."),
    FigureText("coverage_95", "Inside the 95 % interval", "percent", "Should be 95 %."),
    FigureText("coverage_1_sigma", "Inside ±1 SD", "percent", "Should be 68.3 %."),
    FigureText("coverage_1_96_sigma", "Inside ±1.96 SD", "percent", "Should be 95.0 %."),
    FigureText(
        "rms_z",
        "RMS of error / SD",
        "plain",
        "1 is right; above 1 the SDs are too small by that factor, below 1 too large.",
    ),
    FigureText(
        "nll",
        "Gaussian negative log-likelihood",
        "plain",
        "Judges error and SD together (natural logarithm, years); lower is better.",
    ),
    FigureText(
        "spearman_sd_abs_error",
        "Rank correlation of SD and |error|",
        "plain",
        "Above 0: scans that the model calls uncertain do have larger errors; 0: the SD does not tell.",
    ),
)

BOUNDS = (
    FigureText(
        "coverage_of_interval",
        "Inside the table's own interval",
        "percent",
        "Should be 90 %, or what the table's column interval_level says.",
    ),
    FigureText(
        "mean_interval_width_years", "Mean width of that interval", "years", "Narrower is better at equal coverage."
    ),
)

TRUTH = (
    FigureText(
        "best_possible_mae_years",
        "Best possible MAE (mean |deviation|)",
        "years",
        "Error on chronological age of a model that reads the imaged age perfectly; chance and shrinkage "
        "can take a model slightly below.",
    ),
    FigureText(
        "pcc_gap_deviation",
        "Correlation of gap and planted deviation",
        "plain",
        "1: the gap is the individual deviation that was planted; 0: it is only noise.",
    ),
    FigureText(
        "mae_biological_years",
        "MAE against the imaged (biological) age",
        "years",
        "The model's own error, without the part that no model could avoid.",
    ),
    FigureText(
        "bias_biological_years",
        "Bias against the imaged age",
        "years",
        "Above 0: imaged ages are over-estimated on average.",
    ),
)

SECOND_STAGE = (
    FigureText(
        "first_stage_mae_years",
        "MAE of the first stage alone",
        "years",
        "The second stage should reach less, see Accuracy.",
    ),
    FigureText(
        "within_bin_sd_years",
        "SD of ages within a bin",
        "years",
        "Spread of the final ages of people of one sex whose first-stage ages are rounded to the same value; below "
        "0.1 the second stage repeats one age per bin.",
    ),
    FigureText(
        "within_bin_correlation",
        "Correlation with the true age within a bin",
        "plain",
        "Above 0: what the second stage adds goes the right way; 0: it tells nothing about the person.",
    ),
    FigureText(
        "between_bin_share",
        "Share of the variance between the bins",
        "percent",
        "Part of the spread of the final ages that the bin and the sex explain; 100 %: the image adds nothing.",
    ),
)

AGREEMENT = (
    FigureText(
        "mean_difference_years",
        "Mean difference (first − second)",
        "years",
        "The systematic shift between the two; where the interval holds 0, none is proven.",
    ),
    FigureText(
        "lower_limit_years", "Lower limit of agreement", "years", "About 95 % of differences lie between the limits."
    ),
    FigureText(
        "upper_limit_years", "Upper limit of agreement", "years", "About 95 % of differences lie between the limits."
    ),
    FigureText(
        "icc_2_1",
        "ICC(2,1), absolute agreement",
        "plain",
        "Share of the variance that is due to people and not to repetition; it grows with the age range.",
    ),
    FigureText(
        "within_subject_sd_years", "Within-subject SD", "years", "Spread of repeated predictions of one person."
    ),
    FigureText(
        "mean_absolute_difference_years",
        "Mean absolute difference",
        "years",
        "How far two predictions of one person are apart on average.",
    ),
)


def in_words(value: float | None, form: str, *, unit: bool = True) -> str:
    """A figure as the report prints it; a dash where it is not defined."""
    if value is None:
        return "–"
    if form == "percent":
        return f"{100 * value:.1f}" + (" %" if unit else "")
    digits = 3 if form == "plain" else 2
    # Never "-0.00".
    rounded = round(value, digits) + 0.0
    return f"{rounded:.{digits}f}".replace("-", "−") + (" years" if unit and form == "years" else "")


def interval_in_words(interval: list[float] | None, form: str) -> str:
    """An interval as ``low to high``, in the unit of its figure."""
    if interval is None:
        return "–"
    return " to ".join(in_words(bound, form, unit=False) for bound in interval) + (" %" if form == "percent" else "")


def table_rows(texts: tuple[FigureText, ...], figures: dict[str, Any]) -> list[dict[str, str]]:
    """Rows ``key, name, value, interval, reading`` of the figures that ``figures`` has.

    The interval comes from ``figures["ci95"]`` or, for agreement figures, from ``<key>_ci95``.
    """
    return [
        {
            "key": text.key,
            "name": text.name,
            "value": in_words(figures[text.key], text.form),
            "interval": interval_in_words(_interval(figures, text.key), text.form),
            "reading": text.reading,
        }
        for text in texts
        if text.key in figures
    ]


def _interval(figures: dict[str, Any], key: str) -> list[float] | None:
    if "ci95" in figures:
        return figures["ci95"].get(key)
    return figures.get(f"{key}_ci95")
