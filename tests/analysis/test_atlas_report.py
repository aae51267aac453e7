"""The whole report of an atlas: files, page and headline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest
from atlas_folder import PLANTED, write_atlas_folder

from agezoo.analysis.atlas_page import figure, number, p_value
from agezoo.analysis.atlas_report import AtlasReport, write_atlas_report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> AtlasReport:
    folder = write_atlas_folder(
        tmp_path_factory.mktemp("atlas"), n=80, repeats=6, failed=2, accelerated_aorta=0.006, women_heart=0.008
    )
    return write_atlas_report(folder, n_bootstrap=200, planted=PLANTED)


def test_headline_names_the_regions_with_numbers(report: AtlasReport) -> None:
    assert re.search(
        r"^The network looked most at: heart, 3\.\d times \(\d\.\d to \d\.\d\) the average of the body; "
        r"then aorta [23]\.\d times",
        report.headline,
    )
    assert "in fat (40 % of the body). 80 people, 86 scans." in report.headline
    assert report.headline.endswith("heart 1, aorta 2, spine 3, back muscles 4 (AUROC 1.00).")


def test_files(report: AtlasReport) -> None:
    regions = pd.read_csv(report.folder / "region_table.csv")
    assert len(regions) == 8 * 8
    assert len(pd.read_csv(report.folder / "group_comparisons.csv")) == 4 * 8
    assert pd.read_csv(report.folder / "planted_regions.csv")["planted_weight"].tolist() == [0.4, 0.3, 0.2, 0.1]
    figures = {path.stem for path in (report.folder / "figures").iterdir()}
    assert {"population_all", "population_sex", "population_age", "population_agers", "enrichment"} <= figures
    assert {"comparison_sex", "comparison_age", "comparison_agers", "reliability"} <= figures
    template = nib.load(report.folder / "template/labels.nii.gz")
    q = nib.load(report.folder / "differences/accelerated_minus_decelerated_q.nii.gz")
    assert (q.affine == template.affine).all()
    clear, labels = q.get_fdata() < 0.05, template.get_fdata()
    assert clear[labels == 2].all(), "the aorta differs"
    assert not clear[labels == 7].any(), "the pelvis does not"


def test_planted_differences_are_found(report: AtlasReport) -> None:
    clear = report.group_comparisons[report.group_comparisons["p_adjusted"] < 0.05]
    assert set(clear["comparison"] + ": " + clear["region"]) == {
        "female - male: heart",
        "accelerated - decelerated: aorta",
        "accelerated - decelerated, at equal age and sex: aorta",
    }


def test_page_stands_alone_and_says_what_it_is(report: AtlasReport) -> None:
    text = (report.folder / "index.html").read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "<script" not in text
    assert "Phantom: the network was trained on synthetic phantoms" in text
    assert "registration: &lt;overlap&gt; low" in text
    assert "4 of 4 regions with planted ageing are among the first 4 of 8 by enrichment." in text
    assert "Women − men: 40 and 40 people, 1 of 8 regions differ clearly" in text
    assert "not what ages" in text
    assert "built-in method" not in text
    assert text.count("<img ") == text.count('alt="') == len(list((report.folder / "figures").iterdir()))
    assert text.count("<figcaption>") == text.count("<figure")
    assert re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", text)) is None


def test_spill_over_is_taken_off_where_the_cells_are_known(tmp_path: Path) -> None:
    folder = write_atlas_folder(tmp_path, n=30)
    (folder / "atlas.json").write_text(json.dumps({"map_cell_mm": [60.0, 60.0, 60.0]}), encoding="utf-8")
    made = write_atlas_report(folder, n_bootstrap=50, planted=PLANTED)
    table = made.region_table[made.region_table["group"] == "all"].set_index("region")
    heart, aorta = table.loc["heart"], table.loc["aorta"]
    assert heart["enrichment_corrected_low"] < heart["enrichment_corrected"] < heart["enrichment_corrected_high"]
    assert heart["enrichment_corrected"] > heart["enrichment"], "it gives to what is beside it"
    # 40 mm across, less than a cell.
    assert aorta["recovery"] < 1 / 3
    assert table.loc["aorta", ["enrichment_corrected", "rank_corrected"]].isna().all()
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "whose cells are 60 x 60 x 60 mm large" in text
    assert re.search(r"Without spill-over 3 are among the first 4 of \d", text)
    assert "aorta too small" in made.headline
    assert "aorta 2." not in made.headline
    assert re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", text)) is None


def test_few_real_people_without_signed_maps(tmp_path: Path) -> None:
    folder = write_atlas_folder(tmp_path, n=6, n_shuffles=9, phantom=False)
    cases = pd.read_csv(folder / "cases.csv", dtype=str)
    cases[[name for name in cases if not name.startswith("signed:")]].to_csv(folder / "cases.csv", index=False)
    for path in (folder / "population").glob("*_signed_mean.nii.gz"):
        path.unlink()
    found = write_atlas_report(folder, n_bootstrap=50)
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert found.headline.startswith("No region stands out from shuffled maps.")
    assert "6 people, 6 scans; fewer than 10 people give no intervals." in found.headline
    assert len(found.group_comparisons) == 0
    assert "fewer than 10 people cannot show how much people vary" in text
    assert "the smallest is 0.100" in text
    assert "at least 10 people and three regions" in text
    assert "Phantom" not in text
    assert not (folder / "planted_regions.csv").exists()
    assert re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", text)) is None


def test_numbers_in_print() -> None:
    row = {"x": -0.004, "x_low": -0.25, "x_high": 0.125}
    assert figure(row, "x", signed=True) == "0.00 (−0.25 to +0.12)"
    assert figure({**row, "x_low": None}, "x", 1, 100) == "−0.4"
    assert number(float("nan"), 2) == "–"
    assert [p_value(value) for value in (None, 0.00001, 0.0005, 0.04321)] == ["–", "< 0.0001", "0.0005", "0.043"]
