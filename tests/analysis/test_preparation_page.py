"""The page of a prepared cohort when there is little or nothing to show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from agezoo.analysis.preparation_page import SHOWN_ROWS, write_preparation_page


def table(rows: list[tuple[str, float | None, str, str | None]]) -> pd.DataFrame:
    """Rows of name, overlap, verdict and error."""
    return pd.DataFrame(
        {
            "case": [row[0] for row in rows],
            "source": [f"{row[0]}.nii.gz" for row in rows],
            "brain_state": ["head" if row[3] is None else None for row in rows],
            "registration_overlap": [row[1] for row in rows],
            "registration_correlation": [row[1] for row in rows],
            "qc": [row[2] for row in rows],
            "qc_reasons": None,
            "seconds": 30.0,
            "error": [row[3] for row in rows],
            "notes": None,
        }
    )


def page_of(frame: pd.DataFrame, folder: Path, **options: bool) -> str:
    path = write_preparation_page(folder / "p.html", frame, bundle="brain_tsan", recipe="1", pictures={}, **options)
    return path.read_text()


def test_a_cohort_without_one_brain(tmp_path: Path) -> None:
    text = page_of(table([("a", None, "fail", "no <brain> was found")]), tmp_path)
    assert "no &lt;brain&gt; was found" in text
    assert "0 of 1 scan gave a brain" in text
    assert "data:image" not in text
    assert "Phantom cohort" not in text


def test_an_overlap_that_is_not_known_comes_first(tmp_path: Path) -> None:
    text = page_of(table([("a", 0.95, "pass", None), ("b", None, "warn", None), ("c", 0.97, "pass", None)]), tmp_path)
    rows = text.split('<h2 id="all">')[1]
    assert rows.index("b.nii.gz") < rows.index("a.nii.gz") < rows.index("c.nii.gz")
    assert "median 0.960, lowest 0.950" in text
    assert "--no-pictures" in text


def test_long_tables_are_cut_and_phantoms_say_what_they_are(tmp_path: Path) -> None:
    frame = table([(f"n{i}", 0.95, "pass", None) for i in range(SHOWN_ROWS + 7)])
    text = page_of(frame, tmp_path, phantom=True)
    assert "The other 7 are in preparation.csv" in text
    assert "Phantom cohort: these heads were drawn by software" in text
