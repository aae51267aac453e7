"""All plots of a table or of pairs, with the words that stand beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.evaluation_rows import EvaluationRows
from agezoo.analysis.plots.bland_altman import plot_bland_altman
from agezoo.analysis.plots.calibration import plot_calibration
from agezoo.analysis.plots.error_by_age import plot_error_by_age
from agezoo.analysis.plots.predicted_against_true import plot_predicted_against_true
from agezoo.analysis.plots.sd_against_error import plot_sd_against_error


@dataclass(frozen=True)
class Plot:
    """A drawn figure and its words.

    Attributes
    ----------
    name
        For the file name.
    figure
        The drawing.
    alt
        What it shows, for readers who cannot see it.
    reading
        How to read it, one sentence.
    """

    name: str
    figure: Figure
    alt: str
    reading: str


def plots_of_rows(rows: EvaluationRows, metrics: dict[str, Any]) -> Iterator[Plot]:
    """Draw every plot that the table allows, one at a time."""
    frame = rows.frame
    n, mae = metrics["n"], metrics["mae_years"]
    yield Plot(
        "predicted_against_true",
        plot_predicted_against_true(frame),
        f"Scatter plot of predicted against true age of {n} scans with the identity line; MAE {mae:.2f} years.",
        "Points on the dashed line are exact. A flatter grey line means that the young are made older and the old "
        "younger.",
    )
    yield Plot(
        "error_by_age",
        plot_error_by_age(frame, metrics),
        "Box plot of predicted minus true age per decade of age: mean error "
        + ", ".join(f"{name} years {group['bias_years']:+.1f}" for name, group in metrics["by_decade"].items())
        + ".",
        "Boxes above the dashed line: that decade is over-estimated; below: under-estimated.",
    )
    yield Plot(
        "bland_altman",
        plot_bland_altman(
            frame["predicted_age_years"],
            frame["age_years"],
            title=f"Predicted and true age, MAE {mae:.2f} years",
            first_name="predicted",
            second_name="true",
        ),
        f"Bland-Altman plot of predicted and true age; mean difference {metrics['bias_years']:+.2f} years.",
        "About 95 % of the differences lie between the orange limits; shaded bands are the lines' 95 % intervals.",
    )
    if "calibration_curve" in metrics:
        yield Plot(
            "calibration",
            plot_calibration(metrics),
            "Calibration curve: "
            + ", ".join(
                f"{100 * metrics[f'coverage_{level}']:.0f} % of ages inside the {level} % interval"
                for level in (50, 68, 90, 95)
            )
            + ".",
            "On the dashed line the stated uncertainty is right; below it the model is too sure of itself.",
        )
        yield Plot(
            "sd_against_error",
            plot_sd_against_error(frame, metrics),
            "Scatter plot of the stated SD against the absolute error"
            + (
                f"; rank correlation {metrics['spearman_sd_abs_error']:.2f}."
                if metrics["spearman_sd_abs_error"] is not None
                else "."
            ),
            "Where larger SDs go with larger errors, the SD warns of bad predictions; on the dashed line it "
            "also has the right size.",
        )


def plots_of_pairs(pairs: pd.DataFrame, metrics: dict[str, Any], *, names: tuple[str, str]) -> Iterator[Plot]:
    """Draw the Bland-Altman plot of complete pairs (columns ``first_years``, ``second_years``)."""
    complete = pairs.dropna(subset=["first_years", "second_years"])
    yield Plot(
        "bland_altman",
        plot_bland_altman(
            complete["first_years"],
            complete["second_years"],
            title="Agreement",
            first_name=names[0],
            second_name=names[1],
            ddof=metrics["limits_ddof"],
        ),
        f"Bland-Altman plot of {metrics['n_pairs']} pairs; mean difference {metrics['mean_difference_years']:+.2f} "
        f"years, limits {metrics['lower_limit_years']:+.2f} to {metrics['upper_limit_years']:+.2f} years.",
        "About 95 % of the differences lie between the orange limits; shaded bands are the lines' 95 % intervals.",
    )
