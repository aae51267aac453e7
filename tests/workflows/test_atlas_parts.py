"""The parts of an atlas: who counts where, sums that forget nobody, chance, and a state that survives a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agezoo.errors import InputError
from agezoo.workflows.atlas_cases import AtlasCohort, atlas_cohort
from agezoo.workflows.atlas_shuffles import RegionShares
from agezoo.workflows.atlas_state import AtlasState, read_sums, saved_rows
from agezoo.workflows.atlas_sums import AtlasSums, CarriedMap

GROUPS = ("all", "female", "male")


def maps(n: int, n_voxels: int = 30) -> list[CarriedMap]:
    rng = np.random.default_rng(5)
    return [
        CarriedMap(
            absolute=rng.random(n_voxels).astype(np.float32),
            signed=rng.standard_normal(n_voxels).astype(np.float32),
            seen=rng.random(n_voxels) > 0.2,
            shuffled_shares=rng.random((4, 3)),
        )
        for _ in range(n)
    ]


def summed(cases: list[CarriedMap]) -> AtlasSums:
    sums = AtlasSums(GROUPS, 30, 4, 3)
    for index, case in enumerate(cases):
        sums.add(("all", GROUPS[1 + index % 2]), case)
    return sums


def test_sums_give_the_mean_sd_and_count_of_those_who_were_seen() -> None:
    cases = maps(9)
    sums = summed(cases)
    female = cases[0::2]
    values = np.where([c.seen for c in female], [c.absolute for c in female], np.nan)
    signed = np.where([c.seen for c in female], [c.signed for c in female], np.nan)
    assert sums.n("female") == 5
    np.testing.assert_array_equal(sums.count("female"), np.sum([c.seen for c in female], axis=0))
    np.testing.assert_allclose(sums.mean("female"), np.nanmean(values, axis=0), rtol=1e-6)
    np.testing.assert_allclose(sums.sd("female"), np.nanstd(values, axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(sums.signed_mean("female"), np.nanmean(signed, axis=0), rtol=1e-5)
    np.testing.assert_allclose(
        sums.shuffled_shares("female"), np.mean([c.shuffled_shares for c in female], axis=0), rtol=1e-12
    )


def test_a_voxel_that_nobody_reaches_is_zero() -> None:
    sums = AtlasSums(GROUPS, 2, 1, 1)
    sums.add(("all",), CarriedMap(np.ones(2), np.ones(2), np.array([True, False]), np.ones((1, 1))))
    np.testing.assert_array_equal(sums.mean("all"), [1.0, 0.0])
    np.testing.assert_array_equal(sums.sd("all"), [0.0, 0.0])


def test_merged_sums_are_those_of_one_run() -> None:
    cases = maps(8)
    whole, first, second = summed(cases), summed(cases[:4]), summed(cases[4:])
    first.merge(second)
    for name, values in whole.as_arrays().items():
        np.testing.assert_allclose(first.as_arrays()[name], values, rtol=1e-13, err_msg=name)


def body() -> tuple[np.ndarray, np.ndarray]:
    """Labels with two regions in a body that fills a part of the grid."""
    labels = np.zeros((12, 10, 14), dtype=np.uint8)
    mask = np.zeros(labels.shape, dtype=bool)
    mask[2:10, 2:8, 1:13] = True
    labels[3:5, 3:5, 2:6] = 5
    labels[6:8, 3:7, 6:12] = 9
    return labels, mask


def test_shares_are_of_the_mass_in_the_body() -> None:
    labels, mask = body()
    shares = RegionShares(labels, mask, [5, 9, 77])
    np.testing.assert_allclose(shares.volume_shares, [16 / mask.sum(), 48 / mask.sum(), 0])
    image = np.zeros(mask.shape, dtype=np.float32)
    image[3, 3, 2], image[9, 7, 12], image[0, 0, 0] = 1.0, 3.0, 100.0
    np.testing.assert_allclose(shares.of(image), [0.25, 0, 0])
    np.testing.assert_allclose(shares.means(image)[:2], [1 / 16, 0])
    assert np.isnan(shares.means(image)[2])


def test_shuffled_maps_lose_their_place() -> None:
    labels, mask = body()
    shares = RegionShares(labels, mask, [5, 9])
    image = (labels == 5).astype(np.float32)
    assert shares.of(image)[0] == 1
    shuffled = shares.of_shuffled(image, 3000, key="a")
    # In a box that the body fills, every place is as likely: on average a region gets its share of the volume.
    np.testing.assert_allclose(shuffled.mean(axis=0), shares.volume_shares, rtol=0.12)
    assert shuffled.sum(axis=1).max() <= 1 + 1e-6


def test_shuffles_hang_on_case_and_seed_alone() -> None:
    labels, mask = body()
    shares = RegionShares(labels, mask, [5, 9])
    image = np.random.default_rng(1).random(mask.shape).astype(np.float32)
    first = shares.of_shuffled(image, 5, key="a")
    other = shares.of_shuffled(image, 5, key="b")
    np.testing.assert_array_equal(shares.of_shuffled(image, 5, key="a"), first)
    assert not np.allclose(other, first)
    assert not np.allclose(shares.of_shuffled(image, 5, key="a", seed=1), first)


def state(out: Path, *, resume: bool = True, **settings: Any) -> AtlasState:
    empty = AtlasSums(GROUPS, 30, 4, 3)
    return AtlasState(out, {"groups": list(GROUPS), "shuffles": 4, **settings}, empty, resume=resume)


def counted(one: AtlasState, cases: list[tuple[str, CarriedMap]]) -> None:
    for key, case in cases:
        one.sums.add(("all",), case)
        one.add({"key": key})


def test_a_kill_after_a_save_counts_no_case_twice(tmp_path: Path) -> None:
    named = list(zip("abcde", maps(5), strict=True))
    first = state(tmp_path)
    counted(first, named[:2])
    first.save()
    counted(first, named[2:4])
    # Killed here: the journal may be longer than the sums know, even by half a line.
    first.close()
    with (tmp_path / "state" / "cases.jsonl").open("a") as journal:
        journal.write('{"key": "d", "ha')
    again = state(tmp_path)
    assert again.done() == {"a", "b"}
    assert again.sums.n("all") == 2
    counted(again, named[2:])
    again.save()
    assert [row["key"] for row in again.rows()] == list("abcde")
    again.close()
    whole = AtlasSums(GROUPS, 30, 4, 3)
    for _, case in named:
        whole.add(("all",), case)
    kept, _ = read_sums(tmp_path)
    for name, values in whole.as_arrays().items():
        np.testing.assert_array_equal(kept.as_arrays()[name], values)
    assert len(list(saved_rows(tmp_path))) == 5


def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path) -> None:
    one = state(tmp_path)
    one.add({"key": "a", "may_pass_later": True})
    one.add({"key": "b", "may_pass_later": False})
    assert one.done() == {"b"}


def test_other_settings_do_not_go_into_the_same_sums(tmp_path: Path) -> None:
    one = state(tmp_path)
    counted(one, [("a", maps(1)[0])])
    one.save()
    one.close()
    with pytest.raises(InputError, match=r"other settings.*layer: then null, now \"layer3\""):
        state(tmp_path, layer="layer3")
    assert state(tmp_path, resume=False, layer="layer3").done() == set()


def cohort(table: pd.DataFrame, rows: list[dict[str, Any]] | None = None, **options: Any) -> AtlasCohort:
    table = table.assign(image=table["subject_id"])
    rows = rows if rows is not None else [{"image": f"{s}.zip", "subject_id": s} for s in table["subject_id"]]
    given = {"masks": {}, "age_cuts": (55, 65), "age_range_years": (44.0, 85.0), **options}
    return atlas_cohort(rows, table, **given)


def people(n: int = 20) -> pd.DataFrame:
    """Gaps of 0 but for one person of +10 and one of -10 years; mean 0, SD sqrt(200 / 19) = 3.24."""
    gaps = [10.0, -10.0] + [0.0] * (n - 2)
    return pd.DataFrame(
        {
            "subject_id": [f"p{i}" for i in range(n)],
            "session": None,
            "age_years": np.linspace(44, 85, n),
            "sex": ["F", "M"] * (n // 2),
            "predicted_age_years": np.linspace(44, 85, n) + gaps,
            "gap_years": gaps,
        }
    )


def test_agers_are_beyond_one_sd_of_the_gap() -> None:
    found = cohort(people())
    assert found.gap == "gap_years"
    assert found.gap_sd_years == pytest.approx((200 / 19) ** 0.5)
    assert [case.ager for case in found.cases[:3]] == ["accelerated", "decelerated", "typical"]
    assert found.cases[0].groups == ("all", "female", "age_44_55", "accelerated")
    assert any("no corrected gap" in note for note in found.notes)


def test_the_corrected_gap_divides_people_where_it_is_known() -> None:
    table = people()
    table["corrected_gap_years"] = table["gap_years"][::-1].to_numpy()
    found = cohort(table)
    assert found.gap == "corrected_gap_years"
    assert [found.cases[i].ager for i in (0, 18, 19)] == ["typical", "decelerated", "accelerated"]


def test_a_second_session_is_judged_by_the_bounds_of_the_first_ones() -> None:
    table = people()
    second = table.iloc[[2]].assign(session="ses-2", gap_years=3.3)
    both = pd.concat([table.assign(session="ses-1"), second])
    rows = [{"image": "x", "subject_id": "p2", "session": name} for name in ("ses-1", "ses-2")]
    found = cohort(both, rows)
    assert found.gap_sd_years == pytest.approx((200 / 19) ** 0.5)
    assert [case.ager for case in found.cases] == ["typical", "accelerated"]


def test_few_people_are_divided_into_no_agers() -> None:
    found = cohort(people(10))
    assert {case.ager for case in found.cases} == {""}
    assert any("at least 20 people" in note for note in found.notes)


def test_age_groups_reach_from_the_youngest_to_the_oldest() -> None:
    table = people()
    table.loc[0, "age_years"], table.loc[1, "age_years"], table.loc[2, "age_years"] = 39.5, 55.0, None
    found = cohort(table)
    assert [name for name in found.groups if name.startswith("age")] == ["age_39_55", "age_55_65", "age_65_85"]
    assert [case.age_group for case in found.cases[:3]] == ["age_39_55", "age_55_65", ""]
    with pytest.raises(InputError, match="lie outside the cohort"):
        cohort(people(), age_cuts=(30, 60))


def test_a_case_without_prediction_counts_but_not_among_agers() -> None:
    rows = [{"image": "x", "subject_id": "nobody", "age_years": 60.0, "sex": "M"}]
    case = cohort(people(), rows).cases[0]
    assert case.groups == ("all", "male", "age_55_65")
    assert json.dumps(case.facts())
