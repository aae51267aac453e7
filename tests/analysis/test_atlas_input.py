"""Reading an atlas's folder: groups, people, cases without a map, and what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from atlas_folder import REGIONS, write_atlas_folder

from agezoo.analysis.atlas_input import read_atlas
from agezoo.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_atlas_folder(tmp_path, n=12, repeats=3, failed=2)


def edit(folder: Path, change) -> None:
    """Write ``cases.csv`` anew."""
    table = pd.read_csv(folder / "cases.csv", dtype={"subject_id": str})
    change(table).to_csv(folder / "cases.csv", index=False)


def test_what_is_read(folder: Path) -> None:
    (folder / "atlas.json").write_text(json.dumps({"mean_dice_of_regions": {"heart": 0.8}}))
    atlas = read_atlas(folder)
    assert atlas.region_names == list(REGIONS)
    assert (len(atlas.cases), atlas.n_people("all"), len(atlas.failed)) == (15, 12, 2)
    assert atlas.person[12:].tolist() == [0, 1, 2]
    assert atlas.failed["error"].tolist() == ["registration: <overlap> low"] * 2
    assert list(atlas.groups)[:3] == ["all", "female", "male"]
    assert atlas.groups["female"].sum() == (atlas.cases["sex"] == "F").sum() == 8
    assert atlas.null["all"].shape == (99, len(REGIONS))
    assert atlas.phantom
    assert atlas.region_dice == {"heart": 0.8}


def test_rows_without_subject_are_people_of_their_own(folder: Path) -> None:
    edit(folder, lambda table: table.assign(subject_id=None))
    atlas = read_atlas(folder)
    assert atlas.n_people("all") == len(atlas.cases) == 15


def test_groups_in_other_words(folder: Path) -> None:
    edit(folder, lambda t: t.assign(sex=t["sex"].map({"F": "female", "M": " m "}), age_group="age_44_85"))
    atlas = read_atlas(folder)
    assert atlas.cases["sex"].value_counts().to_dict() == {"F": 8, "M": 7}
    assert atlas.groups["age_44_85"].all()
    assert any("age_44_85" in note for note in atlas.notes), "it has no shuffled maps"


def test_a_share_that_is_missing_is_a_failed_case(folder: Path) -> None:
    edit(folder, lambda table: table.assign(**{"share:liver": table["share:liver"].mask(table.index == 3)}))
    atlas = read_atlas(folder)
    assert len(atlas.cases) == 14
    assert "a share is missing" in atlas.failed["error"].tolist()


@pytest.mark.parametrize("name", ["cases.csv", "regions.csv", "population/null.npz", "template/mask.nii.gz"])
def test_missing_files_are_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"files of the atlas are missing; found: {name}"):
        read_atlas(folder)


def test_what_does_not_fit_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_atlas(folder / "elsewhere")
    edit(folder, lambda table: table.assign(error="no map"))
    with pytest.raises(InputError, match="no case has a map on the template; found: 17 rows, first error: no map"):
        read_atlas(folder)
    edit(folder, lambda table: table.drop(columns="share:heart"))
    with pytest.raises(InputError, match="columns are missing; found: share:heart"):
        read_atlas(folder)
    regions = pd.read_csv(folder / "regions.csv")
    regions.assign(volume_share=2.0).to_csv(folder / "regions.csv", index=False)
    with pytest.raises(InputError, match="volume_share is no share of the body"):
        read_atlas(folder)


def test_shuffled_maps_of_other_regions_are_refused(folder: Path) -> None:
    np.savez(folder / "population/null.npz", all=np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"group all do not fit the regions; found: shape \(5, 3\)"):
        read_atlas(folder)
