"""Cox regression against published coefficients, plain statsmodels and cases without a maximum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from published_survival import ROSSI_COVARIATES, leukaemia, rossi

from agezoo.analysis.covariate_design import covariate_design
from agezoo.analysis.cox import fit_cox, proportional_hazards_test
from agezoo.analysis.partial_likelihood import PartialLikelihood
from agezoo.errors import InputError


def tied_data(n: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame({"a": rng.normal(70, 8, n), "b": rng.integers(0, 2, n).astype(float)})
    time = rng.exponential(8 / np.exp(0.05 * (covariates["a"] - 70) - 0.4 * covariates["b"]))
    censored = rng.uniform(2, 10, n)
    return np.ceil(np.minimum(time, censored)), time <= censored, covariates


def test_rossi_coefficients_as_published():
    # Allison 1995; Fox and Weisberg, Cox proportional-hazards regression for survival data in R (Efron ties).
    fit = fit_cox(*rossi())
    table = fit.table.set_index("covariate").loc[ROSSI_COVARIATES]
    assert (fit.n, fit.n_events) == (432, 114)
    assert table["coefficient"].round(4).tolist() == [-0.3794, -0.0574, 0.3139, -0.1498, -0.4337, -0.0849, 0.0915]
    assert table["se"].round(4).tolist() == [0.1914, 0.0220, 0.3080, 0.2122, 0.3819, 0.1958, 0.0286]
    assert table["hr"].round(3).tolist() == [0.684, 0.944, 1.369, 0.861, 0.648, 0.919, 1.096]
    assert table["p"].round(3).tolist() == [0.047, 0.009, 0.308, 0.480, 0.256, 0.665, 0.001]


def test_leukaemia_hazard_ratio_as_published():
    # The textbook result with Efron's ties: coefficient -1.572 (SE 0.412), hazard ratio 0.208.
    time, event, treated = leukaemia()
    row = fit_cox(time, event, pd.DataFrame({"treated": treated.astype(float)})).table.iloc[0]
    assert row["coefficient"] == pytest.approx(-1.572, abs=5e-4)
    assert row["se"] == pytest.approx(0.412, abs=5e-4)
    assert row["hr"] == pytest.approx(0.208, abs=5e-4)


def test_rossi_proportional_hazards_as_published():
    # Fox and Weisberg's appendix, Kaplan-Meier transform: fin, age, prio and the global test.
    time, event, covariates = rossi()
    covariates = covariates[["fin", "age", "prio"]]
    check = proportional_hazards_test(time, event, covariates, fit_cox(time, event, covariates)).set_index("covariate")
    assert check["rho"].round(5).tolist()[:3] == [-0.00657, -0.20976, -0.08004]
    assert check["chi_square"].round(5).tolist() == [0.00507, 6.54147, 0.77288, 7.13046]
    assert check["p"].round(4).tolist() == [0.9433, 0.0105, 0.3793, 0.0679]


def test_risk_set_sums_agree_with_statsmodels():
    from statsmodels.duration.hazard_regression import PHReg

    time, event, covariates = tied_data()
    assert len(np.unique(time[event])) < event.sum() / 5  # many ties
    fit = fit_cox(time, event, covariates)
    plain = PHReg(time, covariates.to_numpy(), status=event.astype(float), ties="efron").fit()
    assert fit.coefficients == pytest.approx(plain.params, rel=1e-6)
    assert fit.covariance == pytest.approx(plain.cov_params(), rel=1e-6)
    assert fit.log_likelihood == pytest.approx(plain.llf, rel=1e-9)
    likelihood = PartialLikelihood(time, event, covariates)
    at = np.array([0.03, -0.2])
    value, gradient, information = likelihood.evaluate(at)
    assert value == pytest.approx(plain.model.loglike(at), rel=1e-9)
    assert gradient == pytest.approx(plain.model.score(at), rel=1e-6)
    assert information == pytest.approx(-plain.model.hessian(at), rel=1e-6)


def test_order_of_rows_does_not_matter():
    time, event, covariates = tied_data()
    order = np.random.default_rng(0).permutation(len(time))
    shuffled = fit_cox(time[order], event[order], covariates.iloc[order].reset_index(drop=True))
    assert shuffled.coefficients == pytest.approx(fit_cox(time, event, covariates).coefficients, rel=1e-8)


def test_hazard_ratio_that_changes_with_time_is_noticed():
    rng = np.random.default_rng(3)
    n = 1500
    x = rng.integers(0, 2, n).astype(float)
    # Twice the hazard before year 3, half of it after.
    early = rng.exponential(1 / (0.15 * np.where(x == 1, 2.0, 1.0)))
    late = 3 + rng.exponential(1 / (0.15 * np.where(x == 1, 0.5, 1.0)))
    time = np.where(early < 3, early, late)
    covariates = pd.DataFrame({"x": x, "steady": rng.normal(size=n)})
    event = np.ones(n, dtype=bool)
    check = proportional_hazards_test(time, event, covariates, fit_cox(time, event, covariates)).set_index("covariate")
    assert check.loc["x", "p"] < 1e-6
    assert check.loc["x", "rho"] < 0
    assert check.loc["steady", "p"] > 0.01


def test_four_events_are_not_fitted():
    time, event, covariates = tied_data()
    event = event & (np.cumsum(event) <= 4)
    with pytest.raises(InputError, match=r"too few events for hazard ratios; found: 4 events; expected: at least 5"):
        fit_cox(time, event, covariates)


def test_few_events_per_parameter_are_said():
    time, event, covariates = tied_data()
    event = event & (np.cumsum(event) <= 19)
    (note,) = fit_cox(time, event, covariates).notes
    assert "19 events for 2 parameters" in note


def test_separating_covariate_gives_a_message_and_no_number():
    time, _, covariates = tied_data(60)
    # The shorter the follow-up, the higher the covariate: every event has the highest value at risk.
    with pytest.raises(InputError, match="no maximum") as caught:
        fit_cox(time, np.ones(60, dtype=bool), covariates.assign(order=-time))
    assert "order" in str(caught.value)
    assert "b" not in str(caught.value.found).split(":")[0].split(", ")


def test_covariate_that_follows_from_others_gives_a_message():
    time, event, covariates = tied_data()
    with pytest.raises(InputError, match="follows from other covariates"):
        fit_cox(time, event, covariates.assign(c=2 * covariates["a"] - covariates["b"]))


def test_level_without_events_is_the_limit_of_a_huge_coefficient():
    time, event, covariates = tied_data()
    rare = np.zeros(len(time))
    rare[np.flatnonzero(~event)[:7]] = 1
    fit = fit_cox(time, event, covariates.assign(rare=rare))
    assert list(fit.table["covariate"]) == ["a", "b"]
    assert fit.n == len(time) - 7
    assert not fit.rows[rare == 1].any()
    assert "None of the 7 people with “rare” had the event" in fit.notes[0]
    # The same coefficients as where the level's hazard is multiplied by e^-15.
    likelihood = PartialLikelihood(time, event, covariates.assign(rare=rare))
    _, gradient, _ = likelihood.evaluate(np.array([*fit.coefficients, -15.0]))
    assert gradient[:2] == pytest.approx([0, 0], abs=1e-3)


def test_words_become_dummies_and_useless_covariates_go():
    frame = pd.DataFrame(
        {
            "age_years": [50.0, 60.0, 70.0, 80.0, 65.0, 58.0, 77.0, np.nan],
            "sex": ["F", "M", "male", "f", "M", "F", "?", "F"],
            "smoking": ["never", "never", "never", "former", "current", "former", "never", "never"],
            "height": [np.nan] * 8,
            "scanner": ["A"] * 8,
            "age_months": [600.0, 720.0, 840.0, 960.0, 780.0, 696.0, 924.0, np.nan],
        }
    )
    design = covariate_design(frame, list(frame.columns))
    assert list(design.matrix.columns) == ["age_years", "sex (M)", "smoking (former)", "smoking (current)"]
    assert design.matrix["sex (M)"].tolist() == [0, 1, 1, 0, 1, 0]
    assert design.matrix["smoking (former)"].tolist() == [0, 0, 0, 1, 0, 1]
    assert design.left_out == {"age_years unknown": 1, "sex unknown": 1}
    notes = " ".join(design.notes)
    assert "height has no value" in notes
    assert "scanner is the same" in notes
    assert "age_months follows from" in notes
    assert "smoking: compared with “never”" in notes
    assert "Sex is neither F nor M in 1 rows" in notes


def test_numbers_written_as_text_are_numbers():
    frame = pd.DataFrame({"code": ["1", " 0", "", None, "1 ", "0"], "x": [0.5, 1.5, 2.5, 3.5, 4.0, 9.0]})
    design = covariate_design(frame, ["code", "x"])
    assert design.matrix["code"].tolist() == [1, 0, 1, 0]
    assert design.matrix.index.tolist() == [0, 1, 4, 5]


def test_column_of_names_is_no_covariate():
    frame = pd.DataFrame({"name": [f"n{i}x" for i in range(40)]})
    with pytest.raises(InputError, match="covariate name is no category; found: 40 different words"):
        covariate_design(frame, ["name"])
    with pytest.raises(InputError, match="not in the table: bmi"):
        covariate_design(frame, ["bmi"])
