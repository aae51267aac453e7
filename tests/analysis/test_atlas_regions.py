"""The table of regions against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from atlas_folder import ENRICHMENT, REGIONS, write_atlas_folder

from agezoo.analysis.atlas_input import AtlasInput, read_atlas
from agezoo.analysis.atlas_regions import MIN_PEOPLE, region_table


def atlas(shares, *, person=None, signed=None, null=None, volume=(0.1, 0.4), groups=None) -> AtlasInput:
    """Cases with these shares, everybody in one group."""
    shares = np.asarray(shares, dtype=float)
    n, r = shares.shape
    return AtlasInput(
        Path("atlas"),
        pd.DataFrame({"age_years": np.full(n, 60.0), "sex": None}),
        pd.DataFrame(),
        pd.DataFrame({"region": [f"r{i}" for i in range(r)], "label": range(1, r + 1), "volume_share": volume}),
        shares,
        np.full((n, r), np.nan) if signed is None else np.asarray(signed, dtype=float),
        np.arange(n) if person is None else np.asarray(person),
        {"all": np.ones(n, dtype=bool), **(groups or {})},
        {} if null is None else {"all": np.asarray(null, dtype=float)},
        {},
        False,
        (),
    )


def test_means_enrichment_and_tests_by_hand() -> None:
    null = [[0.1, 0.4], [0.35, 0.3], [0.05, 0.5]]
    signed = [[1.0, np.nan], [3.0, np.nan]]
    heart, liver = region_table(atlas([[0.2, 0.3], [0.4, 0.1]], null=null, signed=signed)).to_dict("records")
    assert heart["share"] == pytest.approx(0.3)
    assert heart["enrichment"] == pytest.approx(3.0)
    assert liver["enrichment"] == pytest.approx(0.5)
    # 0.35 of three shuffled maps is as much as 0.3.
    assert (heart["p_more"], liver["p_more"]) == pytest.approx((2 / 4, 1.0))
    assert (heart["p_more_holm"], liver["p_more_holm"]) == pytest.approx((1.0, 1.0))
    assert liver["p_two_sided"] == pytest.approx(2 / 4)
    assert heart["null_high"] == pytest.approx(np.percentile([0.1, 0.35, 0.05], 97.5) / 0.1)
    assert (heart["signed_mean"], heart["n"], heart["n_people"], heart["n_shuffles"]) == (2.0, 2, 2, 3)
    assert np.isnan(liver["signed_mean"])
    assert (heart["rank_enrichment"], liver["rank_enrichment"]) == (1, 2)
    assert (heart["rank_share"], liver["rank_share"]) == (1, 2)


def test_few_people_have_means_and_no_intervals() -> None:
    rng = np.random.default_rng(0)
    for n, known in ((MIN_PEOPLE - 1, False), (MIN_PEOPLE, True)):
        # Twice as many scans are not more people.
        table = region_table(atlas(rng.uniform(0.1, 0.3, (2 * n, 2)), person=[*range(n), *range(n)]), n_bootstrap=50)
        assert table["share"].notna().all()
        assert table["share_low"].notna().all() == known
        assert table["rank_share_probability"].notna().all() == known


def test_intervals_draw_people_with_all_their_scans() -> None:
    rng = np.random.default_rng(1)
    once = rng.normal(0.2, 0.05, (40, 2))
    table = region_table(atlas(np.tile(once, (3, 1)), person=np.tile(np.arange(40), 3)), n_bootstrap=4000)
    width = table["share_high"] - table["share_low"]
    # Drawing scans would narrow this by the root of three.
    np.testing.assert_allclose(width, 2 * 1.96 * once.std(axis=0) / np.sqrt(40), rtol=0.06)


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    hits = []
    for seed in range(100):
        table = region_table(atlas(rng.normal(0.2, 0.05, (30, 2))), n_bootstrap=200, seed=seed)
        hits += [*((table["share_low"] < 0.2) & (table["share_high"] > 0.2))]
    assert np.mean(hits) == pytest.approx(0.94, abs=0.04)


def test_ranks_are_as_sure_as_the_regions_differ() -> None:
    rng = np.random.default_rng(3)
    # The first two have the same true enrichment, the third is far below.
    shares = rng.normal([0.2, 0.2, 0.05], [0.04, 0.04, 0.01], (100, 3))
    table = region_table(atlas(shares, volume=(0.1, 0.1, 0.1)), n_bootstrap=1000)
    assert table.loc[2, "rank_enrichment_probability"] == 1.0
    assert table.loc[2, ["rank_enrichment_low", "rank_enrichment_high"]].tolist() == [3, 3]
    assert table.loc[:1, "rank_enrichment_low"].tolist() == [1, 1]
    assert table.loc[:1, "rank_enrichment_high"].tolist() == [2, 2]
    assert table.loc[0, "rank_enrichment_probability"] == pytest.approx(table.loc[1, "rank_enrichment_probability"])


def test_a_region_without_volume_has_no_enrichment_and_no_rank() -> None:
    rng = np.random.default_rng(4)
    null = rng.uniform(0, 0.01, (99, 2))
    table = region_table(atlas(rng.uniform(0.02, 0.1, (20, 2)), volume=(0.0, 0.5), null=null), n_bootstrap=50)
    assert np.isnan(table.loc[0, "p_more"])
    assert table.loc[1, "p_more"] == table.loc[1, "p_more_holm"] == pytest.approx(0.01), "one test needs no correction"
    assert np.isnan(table.loc[0, ["enrichment", "rank_enrichment", "enrichment_low"]].astype(float)).all()
    assert table.loc[1, "rank_enrichment"] == 1


def test_without_shuffled_maps_nothing_is_tested() -> None:
    table = region_table(atlas([[0.2, 0.3], [0.4, 0.1]]))
    assert table[["p_more", "p_more_adjusted", "p_two_sided", "null_low"]].isna().all(axis=None)


def test_planted_shares_come_back(tmp_path: Path) -> None:
    folder = write_atlas_folder(tmp_path, n=60, repeats=10, failed=2, n_shuffles=199)
    read = read_atlas(folder)
    table = region_table(read, n_bootstrap=500)
    everybody = table[table["group"] == "all"].set_index("region")
    for region, enrichment in ENRICHMENT.items():
        row = everybody.loc[region]
        assert row["enrichment"] == pytest.approx(enrichment, rel=0.08)
        assert row["enrichment_low"] < row["enrichment"] < row["enrichment_high"]
    assert (everybody["n"] == 70).all()
    assert (everybody["n_people"] == 60).all()
    clear = everybody["p_more_adjusted"] < 0.05
    assert set(everybody.index[clear]) == {"heart", "aorta", "spine", "back_muscles"}
    # Holm's correction could reach 8 / 200.
    assert everybody.loc["heart", "p_more_holm"] == pytest.approx(len(REGIONS) / 200)
    assert set(table["group"]) == {
        "all", "female", "male", "age_45_54", "age_55_64", "age_65_74", "accelerated", "decelerated",
    }  # fmt: skip
    pd.testing.assert_frame_equal(table, region_table(read, n_bootstrap=500))
