"""Groups, agers, sites and repeat scans: effect sizes, planted shifts, and what is said of small groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.ager_finding import ager_finding
from agezoo.analysis.agers import agers, characteristics
from agezoo.analysis.group_finding import group_finding, site_finding
from agezoo.analysis.groups import adjusted_means, grouping, hedges_g
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.reliability_finding import reliability_finding
from agezoo.errors import InputError


def cohort(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Patients are ten years older than controls and look three years older than they are; the gap falls with age."""
    rng = np.random.default_rng(seed)
    patient = rng.random(n) < 0.4
    age = rng.normal(60, 6, n) + 10 * patient
    deviation = rng.normal(0, 2, n) + 3 * patient
    predicted = age + deviation - 0.4 * (age - 60)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(n)],
            "session": "1",
            "age_years": age,
            "sex": np.where(rng.random(n) < 0.5, "F", "M"),
            "predicted_age_years": predicted,
            "gap_years": predicted - age,
            "corrected_gap_years": deviation,
            "diagnosis": np.where(patient, "case", "control"),
            "site": rng.choice(["a", "b"], n),
            "error": None,
        }
    )


def test_hedges_g_of_a_published_example() -> None:
    # Borenstein et al. 2009, chapter 4: means 103 and 100, SDs 5.5 and 4.5, 50 people each; g = 0.5924 with
    # variance 0.0411. Two values mean -+ SD sqrt((n - 1) / n), 25 times each, have that mean and SD.
    def people(mean: float, sd: float) -> np.ndarray:
        return mean + sd * np.sqrt(49 / 50) * np.repeat([-1.0, 1.0], 25)

    found = hedges_g(people(103, 5.5), people(100, 4.5))
    assert found["hedges_g"] == pytest.approx(0.5924, abs=2e-4)
    assert (found["hedges_g_high"] - found["hedges_g"]) / 1.959964 == pytest.approx(np.sqrt(0.0411), abs=2e-4)
    assert hedges_g(people(100, 4.5), people(103, 5.5))["hedges_g"] == pytest.approx(-found["hedges_g"])


def test_effect_size_of_constant_or_single_values_is_undefined() -> None:
    assert np.isnan(hedges_g([1, 1, 1], [1, 1])["hedges_g"])
    assert np.isnan(hedges_g([1], [1, 2, 3])["hedges_g"])


def test_raw_difference_hides_what_the_difference_at_equal_age_shows() -> None:
    table = cohort(2000, 1)
    result = adjusted_means(table["gap_years"], table["diagnosis"], table[["age_years", "sex"]], reference="control")
    plain = table.groupby("diagnosis")["gap_years"].mean()
    # Ten years of age take 4 years off the patients' gap, which hides the 3 years that they look older.
    assert plain["case"] - plain["control"] == pytest.approx(-1.0, abs=0.3)
    row = result.differences.loc["case"]
    assert row["difference_low"] < 3 < row["difference_high"]
    assert row["difference_high"] - row["difference_low"] < 1
    assert result.p_any == pytest.approx(row["p"], rel=1e-6), "with two groups both tests are the same"


def test_adjusted_means_lie_at_the_mean_of_the_covariates() -> None:
    # Gap = 2 + 1 for group b - 0.5 (age - 50) exactly: at the mean age of 55, -0.5 and 0.5.
    age = np.array([45, 50, 55, 60, 65] * 2, dtype=float)
    group = pd.Series(["a"] * 5 + ["b"] * 5)
    gap = pd.Series(2 + (group == "b") - 0.5 * (age - 50)) + np.tile([0.01, -0.01, 0, -0.01, 0.01], 2)
    result = adjusted_means(gap, group, pd.DataFrame({"age_years": age}), reference="a")
    assert result.means["mean"].to_dict() == pytest.approx({"a": -0.5, "b": 0.5})
    assert result.differences.loc["b", "difference"] == pytest.approx(1.0)


def test_intervals_of_differences_cover_with_unequal_spread() -> None:
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(300):
        group = pd.Series(["small"] * 20 + ["large"] * 100)
        age = pd.DataFrame({"age_years": rng.uniform(50, 70, 120)})
        gap = pd.Series(np.where(group == "small", 1 + 6 * rng.normal(size=120), 2 * rng.normal(size=120)))
        row = adjusted_means(gap, group, age, reference="large").differences.loc["small"]
        inside += row["difference_low"] <= 1 <= row["difference_high"]
    # Pooled variances would cover about 75 % here.
    assert 273 <= inside <= 296


def test_groups_and_covariates_that_are_one_cannot_be_compared() -> None:
    table = pd.DataFrame({"gap": np.arange(20.0), "group": ["a", "b"] * 10, "twin": [0.0, 1.0] * 10})
    with pytest.raises(InputError, match="cannot be told apart"):
        adjusted_means(table["gap"], table["group"], table[["twin"]], reference="a")


def test_reference_is_the_largest_group_or_the_one_named() -> None:
    table = pd.DataFrame({"dx": ["AD", "HC", "HC", "MCI", None, "AD", "HC"], "stage": [1, 2, 2, 3, 3, 3, None]})
    assert (grouping(table, "dx").reference, grouping(table, "dx").others) == ("HC", ("AD", "MCI"))
    assert grouping(table, "dx=MCI").reference == "MCI"
    assert grouping(table, "stage").reference == "3", "numbers are groups too, without a decimal point"
    with pytest.raises(InputError, match="column dx has no group FTD; found: the groups HC, AD, MCI"):
        grouping(table, "dx=FTD")
    with pytest.raises(InputError, match="column x holds no groups; found: 50 different values"):
        grouping(pd.DataFrame({"x": np.arange(50)}), "x")


def test_group_finding_compares_raw_and_corrected_and_lists_small_groups() -> None:
    table = cohort()
    table.loc[:2, "diagnosis"] = "other"
    table.loc[3:12, "diagnosis"] = None
    finding = group_finding(table, AnalysisPlan(groups=["diagnosis=control", "absent"]))
    frame = finding.tables[0].frame.set_index(["group", "gap"])
    assert frame.loc[("other", "raw"), "n"] == 3
    assert np.isnan(frame.loc[("other", "raw"), "difference_years"])
    assert frame.loc[("control", "raw"), "compared_with"] == "(reference)"
    for gap in ("raw", "corrected"):
        assert frame.loc[("case", gap), "difference_years_low"] < 3 < frame.loc[("case", gap), "difference_years_high"]
    # The corrected gap does not depend on age, so the plain effect size shows the 3 years of SD 2.
    assert frame.loc[("case", "corrected"), "hedges_g"] == pytest.approx(1.5, abs=0.3)
    text = "\n".join(finding.notes)
    assert "diagnosis: 10 rows left out: group not known." in text
    assert "diagnosis: other has fewer than 5 people, listed but not compared." in text
    assert "Group absent was not analysed" in text
    assert [p.name for p in finding.plots] == ["gap_by_diagnosis"]


def test_a_shift_between_sites_is_found() -> None:
    table = cohort(600, 3)
    at_b = table["site"] == "b"
    table.loc[at_b, "gap_years"] += 2
    table.loc[at_b, "corrected_gap_years"] += 2
    frame = site_finding(table, "site").tables[0].frame.set_index(["site", "gap"])
    means = frame["adjusted_mean_years"]
    assert means["b", "raw"] - means["a", "raw"] == pytest.approx(2, abs=0.6)
    assert frame.loc[("b", "raw"), "shift_from_all_sites_years"] == pytest.approx(1, abs=0.3)
    assert frame.loc[("a", "corrected"), "p_any_difference"] < 1e-6


def test_agers_are_divided_at_one_sd() -> None:
    gap = pd.Series([-10.0, *[0.0] * 20, 10.0])
    result = agers(gap)
    assert result.sd_years == pytest.approx(np.sqrt(200 / 21))
    assert result.group.tolist() == ["decelerated", *["average"] * 20, "accelerated"]
    with pytest.raises(InputError, match="SD 0 years"):
        agers(pd.Series([1.0] * 30))


def test_characteristics_worked_out_by_hand() -> None:
    people = pd.DataFrame(
        {"bmi": [30.0, 34.0, 25.0, 20.0, 24.0, np.nan], "smoker": [1, 1, 0, 0, 1, 0], "sex": list("FMFFFM")}
    )
    group = pd.Series(["accelerated", "accelerated", "average", "decelerated", "decelerated", "decelerated"])
    rows = characteristics(people, group, ["bmi", "smoker", "sex"]).set_index("characteristic")
    assert rows.loc["people", ["accelerated", "average", "decelerated"]].tolist() == [2, 1, 3]
    bmi = rows.loc["bmi"]
    assert (bmi["accelerated"], bmi["accelerated_sd"], bmi["decelerated"], bmi["n_missing"]) == (
        32.0, pytest.approx(np.sqrt(8)), 22.0, 1,
    )  # fmt: skip
    assert bmi["standardised_difference"] == pytest.approx(10 / np.sqrt(8))
    smoker = rows.loc["smoker"]
    assert (smoker["measure"], smoker["accelerated"], smoker["decelerated"]) == ("share", 1.0, pytest.approx(1 / 3))
    assert smoker["standardised_difference"] == pytest.approx((2 / 3) / np.sqrt((0 + 2 / 9) / 2))
    assert rows.loc["sex: F", "decelerated"] == pytest.approx(2 / 3)


def test_agers_by_the_raw_gap_come_with_a_warning() -> None:
    plan = AnalysisPlan(groups=["diagnosis"], models={"m": ["age_years", "sex"]})
    corrected = ager_finding(cohort(), plan)
    raw = ager_finding(cohort().assign(corrected_gap_years=np.nan), plan)
    assert "corrected gap" in corrected.description
    assert not corrected.notes
    assert "The young then seem accelerated".lower() in raw.notes[0].lower()
    ages = {
        f: t.tables[0].frame.set_index("characteristic").loc["age_years"] for f, t in (("c", corrected), ("r", raw))
    }
    assert ages["r"]["standardised_difference"] < ages["c"]["standardised_difference"] - 0.5
    assert "diagnosis: case" in set(corrected.tables[0].frame["characteristic"])


def test_repeat_scans_are_judged_for_age_and_for_gap() -> None:
    table = cohort(60, 4)
    rng = np.random.default_rng(5)
    again = table.assign(session="2")
    noise = rng.normal(0, 2, 60)
    for name in ("predicted_age_years", "gap_years", "corrected_gap_years"):
        again[name] = again[name] + noise
    finding = reliability_finding(pd.concat([table, again], ignore_index=True))
    assert finding is not None
    frame = finding.tables[0].frame.set_index("measure")
    assert frame["n_pairs"].tolist() == [60, 60, 60]
    # Differences have SD 2, so one prediction has SD 2 / sqrt 2 about the person's mean.
    assert frame["within_subject_sd_years"].tolist() == pytest.approx([np.sqrt(2)] * 3, rel=0.25)
    assert frame.loc["predicted age", "icc_2_1"] > frame.loc["corrected gap", "icc_2_1"] + 0.05
    assert reliability_finding(table) is None
