"""The report: one file that needs nothing else, and says what it must."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.report import (
    PairsSection,
    ReportSection,
    evaluate_pairs_table,
    evaluate_table,
    write_report,
)
from agezoo.errors import InputError


class _Page(HTMLParser):
    """Collects what the tests ask about."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.images.append(values)
        if tag not in ("img", "meta", "col", "br"):
            self.open.append(tag)
        self.addresses += [values[name] or "" for name in ("src", "href", "action", "data") if name in values]
        if "id" in values:
            self.ids.append(values["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _table(origin: str = "trained", n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.uniform(25, 80, n)
    table = pd.DataFrame(
        {
            "subject_id": [f"s{i:02d}" for i in range(n)],
            "age_years": age,
            "sex": np.where(np.arange(n) % 2, "F", "M"),
            "predicted_age_years": age + rng.normal(0, 4, n),
            "aleatoric_sd_years": rng.uniform(3, 5, n),
            "bundle": "ct_age",
            "weights_sha256": "ab" * 32,
            "weights_origin": origin,
            "error": None,
        }
    )
    table.loc[0, ["predicted_age_years", "error"]] = [np.nan, "slices are missing <b>"]
    return table


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    picture = out / "picture.png"
    picture.write_bytes(base64.b64decode(_ONE_PIXEL))
    write_report(
        [
            ReportSection("Cross-validation", _table("phantom"), "Out of fold."),
            ReportSection("Test", _table().drop(columns=["aleatoric_sd_years", "sex"])),
            PairsSection("Repeats", pd.DataFrame({"first_years": [50, 60, 70], "second_years": [52, 59, 70]})),
        ],
        out,
        title="A & B",
        notes=["A note."],
        gallery=[("A projection", picture)],
        n_bootstrap=100,
    )
    return out


_ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_page_asks_for_nothing_from_outside(results: Path) -> None:
    text = (results / "report.html").read_text(encoding="utf-8")
    page = _Page(results / "report.html")
    assert page.addresses
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert "default-src 'none'" in text


def test_page_is_well_formed_and_its_links_lead_somewhere(results: Path) -> None:
    page = _Page(results / "report.html")
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    targets = {address[1:] for address in page.addresses if address.startswith("#")}
    assert targets == set(page.ids)


def test_every_picture_is_embedded_whole_and_described(results: Path) -> None:
    page = _Page(results / "report.html")
    # Five plots with SDs, three without, one of pairs, one from the gallery.
    assert len(page.images) == 10
    for image in page.images:
        assert image["alt"]
        content = base64.b64decode((image["src"] or "").partition("base64,")[2])
        assert content.startswith(b"\x89PNG")
        assert content.endswith(b"IEND\xaeB`\x82")


def test_page_shows_figures_failures_and_the_phantom_banner(results: Path) -> None:
    text = (results / "report.html").read_text(encoding="utf-8")
    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['mae_years']:.2f} years" in text
    assert "The ages mean nothing for real people" in text
    assert "slices are missing &lt;b&gt;" in text
    assert "<title>A &amp; B</title>" in text
    assert "ab" * 32 in text


def test_no_banner_without_phantom_weights(tmp_path: Path) -> None:
    evaluate_table(_table(), tmp_path, n_bootstrap=20)
    assert "mean nothing" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_metrics_hold_the_first_section_flat_and_the_others_by_name(results: Path) -> None:
    metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["section"], metrics["n"], metrics["n_failed"]) == ("Cross-validation", 39, 1)
    assert list(metrics["other_sections"]) == ["Test", "Repeats"]
    assert metrics["other_sections"]["Repeats"]["n_pairs"] == 3
    assert metrics["provenance"]["weights_origin"] == ["phantom"]


def test_plots_lie_beside_the_page_as_png_and_svg(results: Path) -> None:
    names = {path.name for path in (results / "plots").iterdir()}
    assert len(names) == 2 * 9
    assert {"cross_validation_calibration.png", "test_error_by_age.svg", "repeats_bland_altman.png"} <= names


def test_same_table_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        evaluate_table(_table(), tmp_path / name, n_bootstrap=20)
    for file in ("metrics.json", "report.html", "plots/evaluation_calibration.svg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_a_csv_is_split_by_a_column(tmp_path: Path) -> None:
    _table().drop(columns="error").assign(site=np.where(np.arange(40) < 25, "north", "south")).to_csv(
        tmp_path / "t.csv", index=False
    )
    metrics = evaluate_table(tmp_path / "t.csv", tmp_path / "out", split_by="site", n_bootstrap=0)
    assert (metrics["section"], metrics["n"]) == ("site: north", 24)
    assert metrics["other_sections"]["site: south"]["n"] == 15


def test_pairs_have_a_report_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("first_years,second_years\n50,52\n60,59\n70,70\n")
    metrics = evaluate_pairs_table(tmp_path / "pairs.csv", tmp_path / "out")
    assert metrics["mean_difference_years"] == pytest.approx(-1 / 3)
    assert "limits of agreement" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8").lower()


def test_a_faulty_table_writes_nothing(tmp_path: Path) -> None:
    pairs = PairsSection("Repeats", pd.DataFrame({"first_years": [50, 60, 70], "second_years": [52, 59, 70]}))
    with pytest.raises(InputError, match="second: columns are missing"):
        write_report([pairs, ReportSection("second", pd.DataFrame({"x": [1]}))], tmp_path / "out", title="t")
    assert not (tmp_path / "out").exists()


def test_faulty_requests_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different names; found: A, a"):
        write_report([ReportSection("A", _table()), ReportSection("a", _table())], tmp_path, title="t")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.png: picture for the gallery is of another kind"):
        evaluate_table(_table(), tmp_path, gallery=[("x", tmp_path / "text.png")], n_bootstrap=0)
    with pytest.raises(InputError, match=r"absent\.png: picture for the gallery cannot be read"):
        evaluate_table(_table(), tmp_path, gallery=[("x", tmp_path / "absent.png")], n_bootstrap=0)
    with pytest.raises(InputError, match="no column scanner to split by"):
        evaluate_table(_table(), tmp_path, split_by="scanner", n_bootstrap=0)


def test_tiny_and_extreme_tables_can_be_drawn(tmp_path: Path) -> None:
    tiny = pd.DataFrame({"age_years": [30, 31, 90], "predicted_age_years": [30, 30, 30], "aleatoric_sd_years": [4] * 3})
    exact = pd.DataFrame({"age_years": [30.0, 50, 90], "predicted_age_years": [30.0, 50, 90]})
    metrics = evaluate_table(tiny, tmp_path, extra_tables={"exact": exact})
    assert metrics["pcc"] is None
    assert metrics["other_sections"]["exact"]["mae_years"] == 0.0


def test_analysis_loads_neither_torch_nor_pyplot() -> None:
    code = (
        "import sys, agezoo.analysis; assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules);"
        "import agezoo.analysis.report; assert not {'torch', 'monai', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_repeat_scans_of_a_prediction_table_in_memory_are_paired(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "subject_id": ["a", "a", "b", "b", "c", "c", "d"],
            "session": ["first", "repeat"] * 3 + ["first"],
            "age_years": [50.0, 50.0, 60.0, 60.0, 70.0, 70.0, 40.0],
            "predicted_age_years": [50.0, 52.0, 61.0, 60.0, 70.0, 75.0, 41.0],
            "weights_origin": "phantom",
        }
    )
    metrics = write_report([PairsSection("Repeat scans", table)], tmp_path, title="t")
    assert metrics["n_pairs"] == 3
    assert abs(metrics["mean_difference_years"]) == pytest.approx((2 - 1 + 5) / 3)
    assert "mean nothing" in (tmp_path / "report.html").read_text()
