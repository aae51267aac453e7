"""Discrimination of labels: planted odds ratios are found, and what cannot be estimated is said."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.auroc import auroc, paired_difference
from agezoo.analysis.binary_label import binary_label
from agezoo.analysis.discrimination import adjusted_results, labelled_people, score_results
from agezoo.analysis.discrimination_finding import discrimination_finding
from agezoo.analysis.gap_svm import MAX_PEOPLE, svm_on_gap
from agezoo.analysis.logistic import cross_fitted_scores, fit_logistic, likelihood_ratio_p
from agezoo.analysis.multiple_testing import holm
from agezoo.analysis.person_rows import first_sessions
from agezoo.analysis.plan import AnalysisPlan
from agezoo.errors import InputError


def cohort(
    n: int = 800, seed: int = 0, *, log_odds_per_sd: float = np.log(2.0), corrected: bool = True
) -> pd.DataFrame:
    """People whose label depends on age, sex and the SDs of a gap that has nothing to do with age."""
    rng = np.random.default_rng(seed)
    age, gap = rng.uniform(50, 80, n), rng.normal(0, 4, n)
    sex = np.where(rng.random(n) < 0.5, "F", "M")
    log_odds = -1 + 0.05 * (age - 65) + 0.5 * (sex == "F") + log_odds_per_sd * gap / 4
    # The raw prediction regresses to the mean, the corrected gap does not.
    predicted = age + gap - 0.3 * (age - 65)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(n)],
            "age_years": age,
            "sex": sex,
            "predicted_age_years": predicted,
            "gap_years": predicted - age,
            "corrected_gap_years": gap if corrected else np.nan,
            "label": (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(float),
        }
    )


def people_of(table: pd.DataFrame, name: str = "label"):
    return labelled_people(table, binary_label(table, name), prediction="predicted_age_years")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([0, 1, None], [0, 1, None]),
        ([True, False, True], [1, 0, 1]),
        (["yes", "No", ""], [1, 0, None]),
        (["positive", "negative", None], [1, 0, None]),
        ([1.0, 0.0, np.nan], [1, 0, None]),
    ],
)
def test_labels_are_read_however_they_are_written(cells: list, expected: list) -> None:
    values = binary_label(pd.DataFrame({"x": cells}), "x").values
    assert [None if np.isnan(v) else v for v in values] == expected


def test_a_value_against_the_rest_or_against_another() -> None:
    table = pd.DataFrame({"diagnosis": ["AD", "HC", "MCI", None, "AD"]})
    assert binary_label(table, "diagnosis=AD").values.fillna(-1).tolist() == [1, 0, 0, -1, 1]
    against = binary_label(table, "diagnosis=AD/HC")
    assert against.values.fillna(-1).tolist() == [1, 0, -1, -1, 1]
    assert against.neither.tolist() == [False, False, True, False, False]


def test_labels_that_are_none_are_named() -> None:
    table = pd.DataFrame({"diagnosis": ["AD", "HC", "MCI"], "a=b": [0, 1, 1]})
    with pytest.raises(InputError, match=r"label diagnosis is not binary; found: the values .*diagnosis=VALUE"):
        binary_label(table, "diagnosis")
    with pytest.raises(InputError, match="nobody has the value FTD in column diagnosis"):
        binary_label(table, "diagnosis=FTD")
    with pytest.raises(InputError, match="no column stroke; found: columns diagnosis, a=b"):
        binary_label(table, "stroke")
    assert binary_label(table, "a=b").values.tolist() == [0, 1, 1], "a column of that very name wins"


def test_first_sessions_in_natural_order() -> None:
    table = pd.DataFrame(
        {"subject_id": ["a", "b", "a", None, None, "b"], "session": ["10", "1", "9", "1", "1", None], "x": range(6)}
    )
    assert first_sessions(table)["x"].tolist() == [1, 2, 3, 4]


def test_rows_left_out_are_counted_by_reason() -> None:
    table = cohort(200)
    table.loc[:9, "label"] = np.nan
    table.loc[5:14, "age_years"] = np.nan
    again = table.iloc[100:120].assign(session="2")
    people = people_of(pd.concat([table.assign(session="1"), again], ignore_index=True))
    assert people.left_out == {
        "no prediction or no age": 10,
        "label not known": 5,
        "later session or second image of a person": 20,
    }
    assert len(people.frame) == len(people.truth) == 185


def test_one_group_alone_cannot_be_discriminated() -> None:
    with pytest.raises(InputError, match="two groups are needed; found: 200 people with and 0 without it"):
        people_of(cohort(200).assign(label=1.0))


def test_the_planted_odds_ratio_is_found() -> None:
    inside = 0
    for seed in range(60):
        table = cohort(400, seed)
        x = table[["age_years"]].assign(male=table["sex"] == "M", gap=table["gap_years"] / 4).astype(float)
        # The raw gap beside age carries the planted gap.
        low, high = fit_logistic(table["label"], x).table.set_index("covariate").loc["gap"].iloc[1:3]
        inside += low <= 2 <= high
    assert inside >= 53


def test_odds_ratios_are_per_sd_of_the_gap_and_carry_the_covariates() -> None:
    people = people_of(cohort(3000, 1))
    raw, corrected = adjusted_results(people, {"model 1": ["age_years", "sex"]})
    assert (raw.gap, corrected.gap, raw.covariates) == ("raw", "corrected", ("age_years", "sex (M)"))
    assert raw.gap_sd_years == pytest.approx(people.frame["gap_years"].std())
    # With age in the model both gaps carry the same; their SDs differ.
    per_year = [np.log(r.odds_ratio) / r.gap_sd_years for r in (raw, corrected)]
    assert per_year[0] == pytest.approx(per_year[1], rel=1e-4)
    assert per_year[0] == pytest.approx(np.log(2) / 4, rel=0.15)


def test_logistic_regression_of_a_table_worked_out_by_hand() -> None:
    # 30 of 50 exposed and 20 of 70 others have the label: odds ratio (30 * 50) / (20 * 20) = 3.75, and the SE of its
    # logarithm is sqrt(1/30 + 1/20 + 1/20 + 1/50).
    y = np.repeat([1, 0, 1, 0], [30, 20, 20, 50])
    fit = fit_logistic(y, pd.DataFrame({"exposed": np.repeat([1.0, 0.0], [50, 70])}))
    row = fit.table.iloc[0]
    half = 1.959964 * np.sqrt(1 / 30 + 1 / 20 + 1 / 20 + 1 / 50)
    assert row["odds_ratio"] == pytest.approx(3.75)
    assert row["odds_ratio_low"] == pytest.approx(3.75 * np.exp(-half), rel=1e-5)
    assert row["odds_ratio_high"] == pytest.approx(3.75 * np.exp(half), rel=1e-5)
    assert fit.events_per_parameter == 50
    # Binomial log-likelihoods of the four cells.
    expected = 30 * np.log(0.6) + 20 * np.log(0.4) + 20 * np.log(2 / 7) + 50 * np.log(5 / 7)
    assert fit.log_likelihood == pytest.approx(expected)


def test_likelihood_ratio_p() -> None:
    # Twice the difference is 3.841459, the 5 % point of chi-square with one degree of freedom.
    assert likelihood_ratio_p(-100.0, -100.0 + 3.841459 / 2) == pytest.approx(0.05, abs=1e-6)


def test_complete_separation_is_an_error_and_no_number() -> None:
    x = np.arange(40.0)
    with pytest.raises(InputError, match="separate people with and without the label completely"):
        fit_logistic(x > 19, pd.DataFrame({"x": x}))


def test_a_category_without_cases_is_left_out_and_said() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(300) < 0.4).astype(float)
    frame = pd.DataFrame({"x": rng.normal(size=300) + y, "rare": 0.0})
    frame.loc[np.flatnonzero(y == 0)[:12], "rare"] = 1.0
    fit = fit_logistic(y, frame)
    assert list(fit.table["covariate"]) == ["x"]
    assert fit.rows.sum() == 288
    assert fit.notes == (
        "All 12 people whose rare is 1 are without the label: its odds ratio is not finite, so it and they are left "
        "out.",
    )
    # The same as never having had them.
    again = fit_logistic(y[fit.rows], frame.loc[fit.rows, ["x"]])
    assert fit.table["odds_ratio"].iloc[0] == pytest.approx(again.table["odds_ratio"].iloc[0])


def test_few_people_of_the_rarer_group() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=200), "z": rng.normal(size=200)})
    with pytest.raises(InputError, match="9 people in the rarer group for 2 parameters; expected: at least 10"):
        fit_logistic(np.arange(200) < 9, frame)
    assert "6.0 people of the rarer group per parameter" in fit_logistic(np.arange(200) < 12, frame).notes[0]


def test_a_useless_covariate_gains_nothing_out_of_fold() -> None:
    rng = np.random.default_rng(4)
    y = (rng.random(60) < 0.5).astype(int)
    noise = pd.DataFrame(rng.normal(size=(60, 5)), columns=list("abcde"))
    in_sample = fit_logistic(y, noise.iloc[:, :5])
    assert in_sample.log_likelihood > len(y) * np.log(0.5)
    scores = cross_fitted_scores(y, noise, n_folds=5)
    assert auroc(y, scores).value < 0.65


def test_scores_are_compared_with_age_on_the_same_people() -> None:
    table = cohort(300)
    table.loc[:99, "corrected_gap_years"] = np.nan
    results = {r.score: r for r in score_results(people_of(table))}
    assert list(results) == ["predicted age", "raw gap", "corrected gap", "chronological age"]
    part = table.iloc[100:]
    expected = paired_difference(part["label"], part["corrected_gap_years"], part["age_years"])
    # the last digits of a variance depend on the layout of the arrays that are summed
    for found, wanted in [
        (results["corrected gap"].against_age, expected),
        (results["corrected gap"].auroc, auroc(part["label"], part["corrected_gap_years"])),
    ]:
        assert found is not None
        assert asdict(found) == pytest.approx(asdict(wanted), rel=1e-9)
    assert results["chronological age"].against_age is None


def test_the_gap_raises_the_auroc_beyond_age_and_sex_and_noise_does_not() -> None:
    told, untold = (
        next(iter(adjusted_results(people_of(cohort(800, log_odds_per_sd=b)), {"m": ["age_years", "sex"]})))
        for b in (np.log(2.5), 0.0)
    )
    assert told.difference.low > 0.02
    assert told.likelihood_ratio_p < 1e-6
    assert abs(untold.difference.value) < 0.01
    assert untold.likelihood_ratio_p > 0.05


def test_support_vector_machine_finds_what_lies_at_both_ends() -> None:
    rng = np.random.default_rng(5)
    gap = rng.normal(0, 4, 300)
    ends = (np.abs(gap) > 4).astype(int)
    assert svm_on_gap(ends, gap).auroc.value > 0.95
    nothing = svm_on_gap(rng.permutation(ends), gap)
    assert 0.35 < nothing.auroc.value < 0.62
    assert nothing.sd_of_repeats > 0
    with pytest.raises(InputError, match="at least 10 each"):
        svm_on_gap(np.arange(300) < 5, gap)


def test_large_tables_are_sampled_for_the_machine() -> None:
    rng = np.random.default_rng(6)
    label = (rng.random(3 * MAX_PEOPLE) < 0.2).astype(int)
    result = svm_on_gap(label, rng.normal(size=label.size) + 2 * label)
    assert result.n_available == 3 * MAX_PEOPLE
    assert result.auroc.n_positive + result.auroc.n_negative == MAX_PEOPLE
    assert result.auroc.n_positive == pytest.approx(MAX_PEOPLE * label.mean(), abs=1)


def test_holm_worked_out_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.9 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.9.
    found = holm(pd.Series([0.03, np.nan, 0.01, 0.9, 0.02], index=list("abcde")))
    assert found.drop("b").tolist() == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert np.isnan(found["b"])
    assert holm(pd.Series([0.6, 0.7])).tolist() == [1.0, 1.0]


def test_finding_keeps_going_when_a_label_cannot_be_used() -> None:
    table = cohort(300, 1).assign(nobody=0.0, few=(np.arange(300) < 6).astype(float))
    plan = AnalysisPlan(labels=["nobody", "label", "few"])
    finding = discrimination_finding(table, plan)
    frames = {t.name: t.frame for t in finding.tables}
    assert set(frames) == {"auroc", "odds_ratios", "auroc_with_gap", "svm_on_gap"}
    assert set(frames["auroc"]["label"]) == {"label", "few"}
    odds = frames["odds_ratios"].set_index("label")
    assert odds.loc["few", "odds_ratio"].isna().all()
    assert odds.loc["label", "odds_ratio_low"].gt(1).all()
    text = "\n".join(finding.notes)
    assert "Label nobody was not analysed" in text
    assert "few, model 1, raw gap: no odds ratio: too few people for a logistic regression" in text
    assert [p.name for p in finding.plots] == ["roc_label", "roc_few", "odds_ratios"]


def test_perfect_separation_in_a_finding_is_said() -> None:
    table = cohort(100)
    table["label"] = (table["corrected_gap_years"] > 0).astype(float)
    finding = discrimination_finding(table, AnalysisPlan(labels=["label"]))
    text = "\n".join(finding.notes)
    assert "corrected gap separates the groups completely (AUROC 1)" in text
    assert "separate people with and without the label completely" in text
    odds = next(t.frame for t in finding.tables if t.name == "odds_ratios")
    assert odds["odds_ratio"].isna().all()


def test_a_label_does_not_explain_itself() -> None:
    # A plan names one list of covariates for all labels, and the label may be among them.
    people = people_of(cohort())
    alone, beside = (
        next(iter(adjusted_results(people, {"model": names}))) for names in (["age_years"], ["age_years", "label"])
    )
    assert beside.covariates == alone.covariates
    assert beside.odds_ratio == alone.odds_ratio is not None
