"""Whether people of one bin get ages of their own: figures by hand, and when they amount to a collapse."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.bin_collapse import bin_collapse_figures
from agezoo.analysis.report import evaluate_table


def test_figures_by_hand() -> None:
    """Bin 60: 59, 61, 63 (mean 61: -2, 0, 2); bin 65: 66, 68 (mean 67: -1, 1); bin 70 has one person, who cannot count.

    SD: sqrt((4 + 0 + 4 + 1 + 1) / (5 - 2)). True 60, 60, 66 (mean 62: -2, -2, 4) and 70, 64 (mean 67: 3, -3): the
    correlation is (4 + 0 + 8 - 3 - 3) / sqrt(10 * 42). All five: mean 63.4, squares 19.36 + 5.76 + 0.16 + 6.76 + 21.16.
    """
    figures = bin_collapse_figures(
        [59, 61, 63, 66, 68, 99], [60, 60, 60, 65, 65, 70], age_years=[60, 60, 66, 70, 64, 20]
    )
    assert figures is not None
    assert (figures.n, figures.n_bins) == (5, 2)
    assert figures.within_bin_sd_years == pytest.approx(math.sqrt(10 / 3))
    assert figures.within_bin_correlation == pytest.approx(6 / math.sqrt(420))
    assert figures.between_bin_share == pytest.approx(1 - 10 / 53.2)
    assert not figures.is_collapsed
    assert figures.verdict == ""


def test_the_correlation_is_that_of_the_residuals() -> None:
    """What the second stage adds against what is right to add, both within the bins."""
    generator = np.random.default_rng(0)
    age = generator.uniform(40, 80, 200)
    discretised = 5 * np.floor((age + generator.normal(0, 4, 200)) / 5 + 0.5)
    predicted = discretised + 0.4 * (age - discretised) + generator.normal(0, 1, 200)
    added, right = predicted - discretised, age - discretised
    for each in np.unique(discretised):
        members = discretised == each
        added[members] -= added[members].mean()
        right[members] -= right[members].mean()
    counted = np.array([(discretised == each).sum() > 1 for each in discretised])
    figures = bin_collapse_figures(predicted, discretised, age_years=age)
    assert figures is not None
    expected = np.corrcoef(added[counted], right[counted])[0, 1]
    assert figures.within_bin_correlation == pytest.approx(expected)
    assert expected > 0.5


def test_one_age_per_bin_is_a_collapse_however_good_it_looks() -> None:
    discretised = np.repeat([50.0, 55.0, 60.0], 4)
    age = discretised + np.tile([-2.0, -1.0, 1.0, 2.0], 3)
    figures = bin_collapse_figures(discretised + 0.7, discretised, age_years=age)
    assert figures is not None
    assert figures.is_collapsed
    assert (figures.within_bin_sd_years, figures.between_bin_share) == pytest.approx((0.0, 1.0))
    assert math.isnan(figures.within_bin_correlation)
    assert "SD 0 years within 3 bins of 12 people" in figures.verdict


def test_the_sex_alone_does_not_hide_a_collapse() -> None:
    """The second stage is told the sex and can add something to it without the image."""
    discretised = np.repeat([50.0, 55.0], 8)
    sex = np.tile(["F", "M"], 8)
    predicted = discretised + np.where(sex == "F", -2.0, 2.0)
    blind, told = (bin_collapse_figures(predicted, discretised, sex=known) for known in (None, sex))
    assert blind is not None
    assert told is not None
    assert blind.within_bin_sd_years > 2
    assert not blind.is_collapsed
    assert told.is_collapsed
    assert (told.n, told.n_bins) == (16, 4)


def test_models_of_different_folds_do_not_hide_each_others_collapse() -> None:
    discretised = np.repeat([50.0, 55.0], 8)
    fold = np.tile(["a", "b"], 8)
    predicted = discretised + np.where(fold == "a", -2.0, 2.0)
    together, apart = (bin_collapse_figures(predicted, discretised, model=known) for known in (None, fold))
    assert together is not None
    assert apart is not None
    assert (together.is_collapsed, apart.is_collapsed) == (False, True)


@pytest.mark.parametrize(
    ("n", "spread", "is_collapsed"), [(3, 0.0, False), (6, 0.0, True), (6, 0.09, True), (6, 0.11, False)]
)
def test_a_verdict_takes_people_enough_and_a_small_spread(n: int, spread: float, is_collapsed: bool) -> None:
    """One bin of n; ages alternate around its mean, and their SD is brought to `spread`."""
    values = np.tile([-1.0, 1.0], n)[:n]
    predicted = 61 + (values - values.mean()) / values.std(ddof=1) * spread
    figures = bin_collapse_figures(predicted, np.full(n, 60.0))
    assert figures is not None
    assert figures.within_bin_sd_years == pytest.approx(spread, abs=1e-9)
    assert figures.is_collapsed is is_collapsed


def test_what_is_not_known_does_not_count() -> None:
    assert bin_collapse_figures([60.0, 61.0], [np.nan, np.nan]) is None, "a first stage alone"
    assert bin_collapse_figures([], []) is None
    lone = bin_collapse_figures([60.0, 71.0, np.nan], [60.0, 70.0, 70.0])
    assert lone is not None
    assert (lone.n, lone.n_bins, lone.is_collapsed) == (0, 0, False)
    assert math.isnan(lone.within_bin_sd_years)
    assert math.isnan(lone.between_bin_share)
    part = bin_collapse_figures([60, 62, 64], [60, 60, 60], age_years=[60, np.nan, 70])
    assert part is not None
    assert part.within_bin_correlation == pytest.approx(1.0), "two people of known age"
    assert part.within_bin_sd_years == pytest.approx(2.0), "three with a prediction"


def test_bins_of_an_ensemble_are_its_mean_values() -> None:
    """Three members' bins 60, 60 and 65 have the mean 61.666..., in whatever order they come."""
    mean = np.float32([(60 + 60 + 65) / 3, (60 + 65 + 60) / 3, 185 / 3])
    figures = bin_collapse_figures([62.0, 62.0, 62.0], mean)
    assert figures is not None
    assert (figures.n, figures.n_bins) == (3, 1)


def cascade_table(residual: float) -> pd.DataFrame:
    """Twenty people of four bins; the second stage goes `residual` of the way from the bin to the true age."""
    discretised = np.repeat([50.0, 55.0, 60.0, 65.0], 5)
    age = discretised + np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 4)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i:02d}" for i in range(20)],
            "age_years": age,
            "predicted_age_years": discretised + residual * (age - discretised),
            "first_stage_age_years": age + np.tile([1.5, -1.5], 10),
            "discretised_age_years": discretised,
            "weights_sha256": "ab" * 32,
        }
    )


@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_an_evaluation_of_a_cascade_tells(residual: float, tmp_path: Path) -> None:
    """By halves: SD sqrt(4 * 10 / 4 / 16); between the bins 4 groups of 5 at -7.5, -2.5, 2.5 and 7.5 years."""
    cascade_table(residual).to_csv(tmp_path / "predictions.csv", index=False)
    figures = evaluate_table(tmp_path / "predictions.csv", tmp_path, n_bootstrap=0)["second_stage"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    stored = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["second_stage"]
    assert stored == figures
    assert (figures["n"], figures["n_bins"], figures["first_stage_mae_years"]) == (20, 4, 1.5)
    assert figures["within_bin_sd_years"] == pytest.approx(residual * math.sqrt(40 / 16))
    assert figures["between_bin_share"] == pytest.approx(625 / (625 + 40 * residual**2))
    assert figures["is_collapsed"] is (residual == 0)
    assert figures["within_bin_correlation"] == (None if residual == 0 else pytest.approx(1.0))
    assert "The second stage beside the first (20 scans in 4 bins of two or more)" in page
    assert ("The second stage has collapsed:" in page) is (residual == 0)


def test_other_tables_say_nothing_of_a_second_stage(tmp_path: Path) -> None:
    """Also where a table has the columns, but only first stages predicted."""
    table = cascade_table(0.5)
    for absent in (
        table.drop(columns=["first_stage_age_years", "discretised_age_years"]),
        table.assign(discretised_age_years=np.nan),
    ):
        assert "second_stage" not in evaluate_table(absent, tmp_path, n_bootstrap=0)
        assert "second stage" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    without = table.drop(columns="first_stage_age_years")
    assert evaluate_table(without, tmp_path, n_bootstrap=0)["second_stage"]["first_stage_mae_years"] is None
