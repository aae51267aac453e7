"""Diagnoses told apart by the gap: corrected on healthy people alone, out of sample, beside what can be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from agezoo.analysis.analyse import analyse_table
from agezoo.analysis.analysis_input import read_analysis_table
from agezoo.analysis.analysis_page import DrawnPlot
from agezoo.analysis.auroc import auroc
from agezoo.analysis.corrected_table import Corrected, corrected_table
from agezoo.analysis.discrimination_finding import discrimination_finding
from agezoo.analysis.gap_svm import svm_on_gap
from agezoo.analysis.plan import AnalysisPlan
from agezoo.cli import build_parser
from agezoo.commands.analyse import plan_of
from agezoo.errors import InputError
from agezoo.phantoms.brain_discrimination import auroc_of_deviation

LABELS = ["group=AD/CN", "group=MCI/CN"]
PLAN = AnalysisPlan(labels=LABELS, groups=["group=CN"], reference_group="group=CN")
SHIFT_YEARS = {"CN": 0.0, "MCI": 4.0, "AD": 8.0}
SD_YEARS, NOISE_YEARS, SHOWN = 3.0, 2.0, 0.7


def predictions(n: int = 150, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """Each diagnosis' brains are older by a shift; patients are older people; predictions regress to the mean."""
    rng = np.random.default_rng(seed)
    group = np.repeat(list(SHIFT_YEARS), n)
    age = rng.uniform(55, 80, len(group)) + np.where(group == "CN", 0, 5)
    deviation = np.array([SHIFT_YEARS[g] for g in group]) + rng.normal(0, SD_YEARS, len(group))
    predicted = 70 + 0.6 * (age - 70) + SHOWN * deviation + rng.normal(0, NOISE_YEARS, len(group))
    return pd.DataFrame(
        {
            "subject_id": [f"s{i:04d}" for i in range(len(group))],
            "age_years": age,
            "sex": rng.choice(["F", "M"], len(group)),
            "group": group,
            "predicted_age_years": predicted,
            "deviation_years": deviation,
            "bundle": "brain_tsan",
            "weights_origin": "phantom",
            **columns,
        }
    )


def corrected(table: pd.DataFrame, plan: AnalysisPlan = PLAN, **options: Any) -> Corrected:
    return corrected_table(read_analysis_table(table, plan), plan, **options)


def gap_by_group(result: Corrected) -> dict[str, float]:
    return result.table.groupby("group")["corrected_gap_years"].mean().to_dict()


def test_controls_alone_keep_the_patients_gap() -> None:
    """A correction fitted on everybody gives part of it to the controls, who then look younger than they are."""
    table = predictions(600)
    kept = gap_by_group(corrected(table))
    for name, shift in SHIFT_YEARS.items():
        assert kept[name] == pytest.approx(SHOWN * shift, abs=0.5), name
    folded = table.assign(fold=np.arange(len(table)) % 5)
    lost = gap_by_group(corrected(folded, AnalysisPlan()))
    assert lost["CN"] < -2
    assert lost["AD"] < kept["AD"] - 2
    assert lost["AD"] - lost["CN"] < kept["AD"] - kept["CN"]


@pytest.mark.parametrize("folds", [None, 4])
def test_nobody_is_corrected_by_a_fit_that_saw_them(folds: int | None) -> None:
    table = predictions()
    table = pd.concat([table, table.head(30).assign(age_years=lambda t: t["age_years"] + 2)], ignore_index=True)
    if folds:
        table["fold"] = table["subject_id"].str[1:].astype(int) % folds
    result = corrected(table)
    assert len(result.by_fold) == (folds or 5)
    assert result.table["corrected_gap_years"].notna().all()
    assert "fold of the correction" not in result.table
    controls = table["group"] == "CN"
    for fit in result.by_fold.values():
        known = fit.reference.known(table, "predicted_age_years")
        assert not known[~controls].any(), "patients are fitted on"
        assert 0 < known[controls].sum() < controls.sum()
        # Every person stands in all folds but one; their rows are never apart.
        assert table[known]["subject_id"].nunique() + table[controls & ~known]["subject_id"].nunique() == 150
    seen = np.sum([fit.reference.known(table, "predicted_age_years") for fit in result.by_fold.values()], axis=0)
    assert set(seen[controls]) == {len(result.by_fold) - 1}
    # A control that is changed beyond recognition moves others, but not the line that corrects it.
    lone = int(np.flatnonzero(controls)[40])
    moved = table.assign(predicted_age_years=table["predicted_age_years"].where(table.index != lone, 300.0))
    again = corrected(moved)
    before, after = (part.table.loc[lone, "corrected_age_years"] for part in (result, again))
    raw = moved.loc[lone, "predicted_age_years"] - table.loc[lone, "predicted_age_years"]
    assert after - before == pytest.approx(raw, abs=1e-6)


def test_words_say_whom_the_correction_was_fitted_on() -> None:
    assert corrected(predictions()).how.endswith(
        "each of 5 drawn folds (seed 0) corrected by the people with group=CN of the others"
    )
    assert corrected(predictions().assign(fold=np.arange(450) % 3)).how.endswith(
        "each of 3 folds corrected by the people with group=CN of the others"
    )


def test_of_a_reference_table_only_the_group_counts() -> None:
    other = predictions(seed=1).assign(subject_id=lambda t: "other" + t["subject_id"])
    result = corrected(predictions().drop(columns="group"), reference=read_analysis_table(other, PLAN))
    assert result.correction is not None
    assert result.correction.n_rows == 150
    assert result.how.endswith("fitted on a reference of 150 rows of 150 people with group=CN")
    with pytest.raises(InputError, match=r"the reference group group=HC cannot be read.*nobody has the value HC"):
        corrected(predictions(), AnalysisPlan(reference_group="group=HC"))


def test_a_drawn_share_comes_from_the_group_alone(tmp_path: Path, undrawn: None) -> None:
    result = analyse_table(predictions(), tmp_path, PLAN, reference_fraction=0.4, n_bootstrap=0)
    assert result["counts"]["people"] == 390
    assert (
        "60 people (60 rows) were drawn as the reference of the bias correction (40% of those with group=CN"
        in (result["notes"][0])
    )
    groups = pd.DataFrame(result["findings"]["Groups"]["tables"]["gap_by_group"])
    assert groups[groups["gap"] == "raw"].set_index("group")["n"].to_dict() == {"CN": 90, "MCI": 150, "AD": 150}


def test_too_few_controls_are_refused() -> None:
    table = predictions()
    few = pd.concat([table[table["group"] == "CN"].head(4), table[table["group"] != "CN"]], ignore_index=True)
    with pytest.raises(InputError, match=r"too few people in the reference group.*found: 4 people"):
        corrected(few)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time, and these tests look at no figure."""
    monkeypatch.setattr(
        "agezoo.analysis.analyse.drawn", lambda plot: DrawnPlot(plot.name, plot.alt, plot.reading, b"png", b"svg")
    )


def test_the_planted_discrimination_is_found_and_held_against_the_best_possible() -> None:
    table = predictions(400)
    finding = discrimination_finding(corrected(table).table, PLAN)
    frames = {part.name: part.frame for part in finding.tables}
    scores = frames["auroc"].set_index(["label", "score"])
    for label, diagnosis in zip(LABELS, ("AD", "MCI"), strict=True):
        shift = SHIFT_YEARS[diagnosis]
        deviation = {name: table.loc[table["group"] == name, "deviation_years"] for name in SHIFT_YEARS}
        best = scores.loc[(label, "planted deviation")]
        assert best["auroc"] == pytest.approx(auroc_of_deviation(deviation[diagnosis], deviation["CN"]))
        assert np.isnan(best["p"]), "what nobody can measure is not tested"
        # Difference of two normal gaps: the correction leaves SHOWN of the deviation and the noise.
        expected = norm.cdf(SHOWN * shift / np.sqrt(2 * (SHOWN**2 * SD_YEARS**2 + NOISE_YEARS**2)))
        gap = scores.loc[(label, "corrected gap")]
        assert gap["auroc_low"] < expected < gap["auroc_high"]
        assert gap["auroc"] < best["auroc"]
        # Regression to the mean hides the gap of older patients in the raw one.
        assert scores.loc[(label, "raw gap"), "auroc"] < gap["auroc"]
        age = scores.loc[(label, "chronological age")]
        assert age["auroc_low"] < norm.cdf(5 / np.sqrt(2 * 25**2 / 12)) + 0.02
        machine = frames["svm_on_gap"].set_index("label").loc[label]
        assert machine["gap"] == "corrected"
        assert machine["auroc"] == pytest.approx(gap["auroc"], abs=0.02)
        assert machine["auroc_low"] < machine["auroc"] < machine["auroc_high"]
        line = next(text for text in finding.headlines if text.startswith(label))
        assert f"best possible (planted deviation) {best['auroc']:.3f}" in line


def test_published_figures_stand_beside_with_their_caution() -> None:
    finding = discrimination_finding(corrected(predictions()).table, PLAN)
    published = next(part for part in finding.tables if part.name == "published")
    frame = published.frame.set_index("label")
    assert frame["published_auc"].to_dict() == {"group=AD/CN": 0.904, "group=MCI/CN": 0.823}
    assert frame["published_groups"].tolist() == ["AD/HC", "MCI/HC"]
    assert frame["best_possible_auroc"].notna().all()
    assert "only that the analysis finds what was planted" in published.reading
    assert "makes it a balanced accuracy" in published.reading
    machine = next(part.frame for part in finding.tables if part.name == "svm_on_gap").set_index("label")
    assert frame["balanced_accuracy"].to_dict() == machine["balanced_accuracy"].to_dict()
    assert any("(published for AD/HC: 0.904)" in line for line in finding.headlines)


def test_real_people_get_the_published_figures_without_the_words_on_phantoms() -> None:
    table = predictions(weights_origin="trained").drop(columns="deviation_years").replace({"group": {"CN": "HC"}})
    plan = AnalysisPlan(labels=["group=AD/HC", "group=MCI"], reference_group="group=HC")
    finding = discrimination_finding(corrected(table, plan).table, plan)
    published = next(part for part in finding.tables if part.name == "published")
    assert published.frame["label"].tolist() == ["group=AD/HC"], "MCI against everybody else is another question"
    assert "planted" not in published.reading
    assert "best_possible_auroc" not in published.frame
    scores = next(part for part in finding.tables if part.name == "auroc")
    assert "planted" not in scores.reading


@pytest.mark.parametrize("bundle", ["spine_age", None])
def test_other_bundles_tables_have_none(bundle: str | None) -> None:
    table = predictions(60, bundle=bundle)
    finding = discrimination_finding(corrected(table).table, PLAN)
    assert "published" not in [part.name for part in finding.tables]


def test_balanced_accuracy_is_that_of_the_hard_labels() -> None:
    rng = np.random.default_rng(3)
    label = (np.arange(400) < 80).astype(int)
    result = svm_on_gap(label, rng.normal(0, 1, 400) + 2 * label)
    # Two equal normals 2 SD apart: the best threshold lies between them, sensitivity = specificity = Phi(1).
    assert result.balanced_accuracy.low < norm.cdf(1) < result.balanced_accuracy.high
    assert result.balanced_accuracy.value < result.auroc.value
    assert auroc([0, 0, 0, 1], [0.0, 1.0, 0.0, 1.0]).value == pytest.approx((2 / 3 + 1) / 2)


def test_the_flag_is_part_of_the_plan(tmp_path: Path, undrawn: None) -> None:
    words = ["analyse", "t.csv", "--out", "o", "--label", *LABELS, "--reference-group", "group=CN"]
    assert plan_of(build_parser().parse_args(words)).reference_group == "group=CN"
    result = analyse_table(predictions(60), tmp_path, PLAN, n_bootstrap=0)
    written = json.loads((tmp_path / "analysis.json").read_text())
    assert written["plan"]["reference_group"] == "group=CN"
    assert [row["used_as"] for row in result["missing"] if row["column"] == "group"] == [
        "group that the correction is fitted on, label, group"
    ]
    page = (tmp_path / "analysis.html").read_text()
    assert "0.904" in page
    assert "0.823" in page
    assert "finds what was planted" in page
