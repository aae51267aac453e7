"""Comparisons of groups against numbers worked out by hand and by other means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, ttest_ind

from agezoo.analysis.atlas_groups import AGE, AGERS, AGERS_ADJUSTED, SEX, group_comparisons
from agezoo.analysis.atlas_input import AtlasInput

VOLUME = (0.1, 0.2, 0.3)


def atlas(shares, *, sex=None, age=None, ager=None, person=None) -> AtlasInput:
    shares = np.asarray(shares, dtype=float)
    n = len(shares)
    sex = np.full(n, "") if sex is None else np.asarray(sex)
    ager = np.full(n, "") if ager is None else np.asarray(ager)
    groups = {"all": np.ones(n, dtype=bool), "female": sex == "F", "male": sex == "M"}
    groups |= {name: ager == name for name in ("accelerated", "decelerated")}
    cases = pd.DataFrame({"age_years": np.full(n, 60.0) if age is None else age, "sex": sex})
    return AtlasInput(
        Path("atlas"), cases, pd.DataFrame(),
        pd.DataFrame({"region": ["a", "b", "c"], "label": [1, 2, 3], "volume_share": VOLUME}), shares, shares * np.nan,
        np.arange(n) if person is None else np.asarray(person),
        {name: rows for name, rows in groups.items() if rows.any()}, {}, {}, False, (),
    )  # fmt: skip


def rows_of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["comparison"] == name].set_index("region")


def test_difference_of_sexes() -> None:
    rng = np.random.default_rng(0)
    sex = np.array(["F"] * 30 + ["M"] * 50)
    shares = rng.normal(0.2, 0.03, (80, 3))
    shares[:30, 0] += 0.03
    table, notes = group_comparisons(atlas(shares, sex=sex))
    found = rows_of(table, SEX)
    for i, region in enumerate("abc"):
        women, men = shares[:30, i], shares[30:, i]
        row = found.loc[region]
        assert row["difference"] == pytest.approx(women.mean() - men.mean())
        assert row["enrichment_difference"] == pytest.approx((women.mean() - men.mean()) / VOLUME[i])
        # For normal values the t test and its interval are an independent way to the same.
        other = ttest_ind(women, men, equal_var=False)
        low, high = other.confidence_interval()
        assert row["p"] == pytest.approx(other.pvalue, abs=0.03)
        assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=0.004)
    assert (found["n_first"].unique(), found["n_second"].unique()) == (30, 50)
    assert found.loc["a", "p_adjusted"] < 0.05 < found.loc["b", "p_adjusted"]
    assert (found["p_adjusted"] >= found["p"] - 0.001).all()
    assert [note.split(":")[0] for note in notes] == [AGE, AGERS]


def test_slope_on_age() -> None:
    rng = np.random.default_rng(1)
    age = rng.uniform(45, 80, 100)
    shares = rng.normal(0.2, 0.02, (100, 3))
    shares[:, 1] += 0.01 * (age - 60) / 10
    table, _ = group_comparisons(atlas(shares, age=age))
    found = rows_of(table, AGE)
    for i, region in enumerate("abc"):
        assert found.loc[region, "difference"] == pytest.approx(10 * np.polyfit(age, shares[:, i], 1)[0])
        assert found.loc[region, "correlation"] == pytest.approx(spearmanr(age, shares[:, i])[0])
    assert found.loc["b", "difference_low"] < 0.01 < found.loc["b", "difference_high"]
    assert found.loc["b", "p_adjusted"] < 0.05


def test_scans_of_one_person_count_once() -> None:
    rng = np.random.default_rng(2)
    sex = np.array(["F", "M"] * 20)
    shares = rng.normal(0.2, 0.03, (40, 3))
    once, _ = group_comparisons(atlas(shares, sex=sex))
    four, _ = group_comparisons(atlas(np.tile(shares, (4, 1)), sex=np.tile(sex, 4), person=np.tile(np.arange(40), 4)))
    pd.testing.assert_frame_equal(once, four)


def test_agers_of_another_age_are_compared_at_equal_age() -> None:
    rng = np.random.default_rng(3)
    ager = np.array(["accelerated", "decelerated"] * 60)
    age = np.where(ager == "accelerated", 68, 56) + rng.normal(0, 5, 120)
    sex = rng.choice(["F", "M"], 120)
    shares = rng.normal(0.2, 0.01, (120, 3))
    # The first region follows age alone, the second the group alone.
    shares[:, 0] += 0.002 * (age - 60)
    shares[:, 1] += 0.02 * (ager == "accelerated")
    table, notes = group_comparisons(atlas(shares, sex=sex, age=age, ager=ager))
    plain, adjusted = rows_of(table, AGERS), rows_of(table, AGERS_ADJUSTED)
    assert plain.loc["a", "p_adjusted"] < 0.05
    assert plain.loc["a", "difference"] == pytest.approx(0.024, abs=0.006)
    assert adjusted.loc["a", "difference_low"] < 0 < adjusted.loc["a", "difference_high"]
    assert adjusted.loc["b", "difference"] == pytest.approx(0.02, abs=0.006)
    assert adjusted.loc["b", "p_adjusted"] < 0.05
    assert (adjusted["method"] == "least squares, HC3").all()
    assert notes == []


def test_small_groups_are_not_compared_and_people_of_both_are_left_out() -> None:
    rng = np.random.default_rng(4)
    person = [*range(30), 0, 1]
    # Persons 0 and 1 are accelerated first and decelerated later.
    ager = np.array(["accelerated"] * 13 + ["decelerated"] * 17 + ["decelerated"] * 2)
    sex = np.array(["F"] * 9 + ["M"] * 21 + ["F"] * 2)
    table, notes = group_comparisons(atlas(rng.normal(0.2, 0.03, (32, 3)), ager=ager, sex=sex, person=person))
    assert list(table["comparison"].unique()) == [AGERS, AGERS_ADJUSTED]
    assert (table["n_first"].unique(), table["n_second"].unique()) == (11, 17)
    assert f"{SEX}: not compared, with 9 and 21 people (10 each are needed)." in notes
    assert f"{AGERS}: 2 people who are both are left out." in notes


def test_no_false_findings_among_people_who_do_not_differ() -> None:
    rng = np.random.default_rng(5)
    smallest = []
    for seed in range(80):
        shares = rng.normal(0.2, 0.03, (40, 3))
        table, _ = group_comparisons(atlas(shares, sex=np.array(["F", "M"] * 20)), n_bootstrap=199, seed=seed)
        smallest.append(table["p_adjusted"].min())
    assert np.mean(np.array(smallest) <= 0.05) == pytest.approx(0.05, abs=0.05)


def test_nothing_to_compare() -> None:
    table, notes = group_comparisons(atlas(np.full((4, 3), 0.1)))
    assert len(table) == 0
    assert {"comparison", "region", "p_adjusted"} <= set(table.columns)
    assert len(notes) == 3
