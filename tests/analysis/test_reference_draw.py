"""People of a table set aside as the reference of its bias correction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.analyse import analyse_table
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.reference_draw import set_reference_aside
from agezoo.data.prediction_table import as_table
from agezoo.data.transfer import transfer_split
from agezoo.errors import InputError

PREDICTED = "predicted_age_years"


def predictions(n: int = 100, *, vfa: bool = True) -> pd.DataFrame:
    """People of two kinds of image; VFA ages are predicted ten years too low. Every fifth person was seen twice."""
    rng = np.random.default_rng(4)
    rows = []
    for kind, bias in (("radiograph", 0.0), ("vfa", -10.0)) if vfa else (("radiograph", 0.0),):
        for index in range(n):
            age = 50 + 40 * index / n
            for session in ("a", "b") if index % 5 == 0 else ("a",):
                predicted = 70 + 0.6 * (age - 70) + bias + rng.normal(0, 2)
                rows.append(
                    {
                        "subject_id": f"{kind}{index}", "session": session, "image": f"{kind}{index}{session}",
                        "age_years": age, "sex": "FM"[index % 2], PREDICTED: predicted, "modality": kind,
                    }
                )  # fmt: skip
    return as_table(rows)


def test_people_stand_on_one_side_in_the_wished_share_of_each_kind() -> None:
    table = predictions()
    reported, reference, note = set_reference_aside(table, 0.3, by="modality", prediction=PREDICTED, seed=1)
    assert not set(reported["subject_id"]) & set(reference["subject_id"])
    assert len(reported) + len(reference) == len(table)
    assert reference.groupby("modality")["subject_id"].nunique().to_dict() == {"radiograph": 30, "vfa": 30}
    assert "60 people" in note
    ages = [part.drop_duplicates("subject_id")["age_years"].mean() for part in (reported, reference)]
    assert abs(ages[0] - ages[1]) < 1.5, "spread evenly over age"


def test_the_same_people_as_fine_tuning_would_take(tmp_path: Path) -> None:
    # Only then are a corrected and a fine-tuned model judged on the same others.
    table = predictions()
    rows = [
        {
            "image": row["image"], "subject_id": row["subject_id"], "age_years": row["age_years"], "sex": row["sex"],
            "session": row["session"], "covariates": {"modality": row["modality"]},
        }
        for row in table.to_dict("records")
    ]  # fmt: skip
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"test": rows}))
    split = transfer_split(datalist, fraction=0.3, modality="vfa", seed=5)
    reported, _, _ = set_reference_aside(table, 0.3, by="modality", prediction=PREDICTED, seed=5)
    vfa = reported.loc[reported["modality"] == "vfa", "subject_id"]
    assert set(vfa) == {row["subject_id"] for row in split["test"]}


def test_rows_that_cannot_serve_are_reported_all_the_same() -> None:
    table = predictions()
    table.loc[0, "age_years"] = np.nan
    reported, reference, _ = set_reference_aside(table, 0.9, by=None, prediction=PREDICTED, seed=0)
    lone = table.loc[0, "subject_id"]
    assert lone in set(reported["subject_id"]) or lone in set(reference["subject_id"])
    assert len(reported) + len(reference) == len(table)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2])
def test_a_share_out_of_range(fraction: float) -> None:
    with pytest.raises(InputError, match=r"out of range; found: .*more than 0 and less than 1"):
        set_reference_aside(predictions(), fraction, by=None, prediction=PREDICTED, seed=0)


def test_an_analysis_corrects_each_kind_by_its_own_people(tmp_path: Path) -> None:
    result = analyse_table(
        predictions(), tmp_path, AnalysisPlan(by="modality"), reference_fraction=0.3, seed=1, n_bootstrap=50
    )
    assert result["counts"]["people"] == 140
    assert any("60 people" in note for note in result["notes"])
    table = pd.read_csv(tmp_path / "tables" / "raw_and_corrected.csv")
    assert not table.empty
    text = (tmp_path / "analysis.html").read_text()
    assert "were drawn as the reference" in text


def test_two_references_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two references are given"):
        analyse_table(predictions(), tmp_path, reference=predictions(), reference_fraction=0.3)


def test_a_group_of_one_person_stays_as_it_is_and_is_said() -> None:
    table = predictions()
    lone = (table["modality"] == "vfa") | (table["subject_id"] == "radiograph3")
    reported, reference, note = set_reference_aside(table[lone], 0.3, by="modality", prediction=PREDICTED, seed=0)
    assert set(reference["modality"]) == {"vfa"}
    assert "radiograph3" in set(reported["subject_id"])
    assert "Nobody was drawn from modality radiograph" in note
    with pytest.raises(InputError, match="too few people to set some of them aside"):
        set_reference_aside(table[table["subject_id"] == "radiograph3"], 0.3, by=None, prediction=PREDICTED, seed=0)
