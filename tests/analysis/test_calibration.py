"""The calibration file: what it holds, for which weights, and for whom it does not speak."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.calibration import Calibration, find_calibration, fit_calibration
from agezoo.analysis.plan import Method
from agezoo.cli import main
from agezoo.data.prediction_table import write_predictions
from agezoo.errors import InputError


@dataclass(frozen=True)
class File:
    """A weight file as far as a calibration cares."""

    path: Path
    sha256: str


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def out_of_fold(n: int = 200, *, name: str = "sub", seed: int = 0, origin: str = "trained") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.uniform(40, 90, n)
    return pd.DataFrame(
        {
            "subject_id": [f"{name}-{i}" for i in range(n)],
            "image": [f"{name}-{i}.dcm" for i in range(n)],
            "fold": np.arange(n) % 2,
            "age_years": age,
            "predicted_age_years": 20 + 0.7 * age + rng.normal(0, 4, n),
            "aleatoric_sd_years": 3.0,
            "epistemic_sd_years": np.nan,
            "bundle": "spine_age",
            "bundle_version": "0.1.0",
            "weights_sha256": [sha(f"fold {i % 2}") for i in range(n)],
            "weights_origin": origin,
            "modality": np.where(np.arange(n) % 4 < 2, "radiograph", "vfa"),
        }
    )


NEW = {"subject_id": "new", "age_years": 60.0, "predicted_age_years": 70.0, "aleatoric_sd_years": 4.0}


def test_it_says_what_it_was_fitted_on() -> None:
    table = out_of_fold()
    table.loc[0, "predicted_age_years"] = np.nan
    table.loc[3, "subject_id"] = "sub-1"
    fitted = fit_calibration(table, datalist_sha256=sha("list")).fitted_on
    assert (fitted.rows, fitted.subjects, fitted.origin, fitted.how) == (199, 198, "real", "out of fold")
    assert (fitted.bundle, fitted.bundle_version, fitted.datalist_sha256) == ("spine_age", "0.1.0", sha("list"))
    assert fitted.weights_sha256 == tuple(sorted([sha("fold 0"), sha("fold 1")]))
    assert fit_calibration(out_of_fold(origin="phantom")).fitted_on.origin == "phantom"
    assert fit_calibration(out_of_fold().drop(columns="weights_origin")).fitted_on.origin == "unknown"


def test_histogram_counts_completed_years() -> None:
    table = out_of_fold(30).assign(age_years=[50.0, 50.9, 53.5] * 10)
    ages = fit_calibration(table, correction="none").ages
    assert (ages.first_year, ages.counts) == (50, (20, 0, 0, 10))
    assert [ages.holds(age) for age in (49.99, 50.0, 51.5, 53.99, 54.0)] == [False, True, True, True, False]


def test_a_new_person_gets_interval_correction_and_sd() -> None:
    table = out_of_fold()
    calibration = fit_calibration(table)
    group = calibration.intervals.groups["all"]
    found = calibration.of_row(NEW).values
    assert group.quantile_sd is not None
    assert group.sd_factor is not None
    assert found["lower_years"] == pytest.approx(70 - 4 * group.quantile_sd)
    assert found["upper_years"] == pytest.approx(70 + 4 * group.quantile_sd)
    assert found["calibrated_sd_years"] == pytest.approx(4 * group.sd_factor)
    gap = np.polynomial.Polynomial.fit(table["age_years"], table["predicted_age_years"] - table["age_years"], 1)
    assert found["corrected_age_years"] == pytest.approx(70 - gap(60.0))
    assert found["corrected_gap_years"] == pytest.approx(10 - gap(60.0))


def test_it_speaks_of_the_column_that_it_was_fitted_on() -> None:
    table = out_of_fold().assign(expected_age_years=lambda part: part["predicted_age_years"] + 3)
    calibration = fit_calibration(table, prediction="expected_age_years")
    group = calibration.intervals.groups["all"]
    found = calibration.of_row({**NEW, "expected_age_years": 73.0}).values
    assert group.quantile_sd is not None
    assert found["upper_years"] == pytest.approx(73 + 4 * group.quantile_sd)
    # Three years too many here and in the whole reference.
    usual = fit_calibration(out_of_fold()).of_row(NEW).values
    assert found["corrected_age_years"] == pytest.approx(usual["corrected_age_years"])
    assert calibration.of_row(NEW).values.keys() == {"calibrated_sd_years"}


@pytest.mark.parametrize(("method", "corrected"), [("beheshti", False), ("cole", True), ("none", False)])
def test_without_an_age_only_cole_corrects_and_the_interval_is_there(method: Method, corrected: bool) -> None:
    found = fit_calibration(out_of_fold(), correction=method).of_row({**NEW, "age_years": None})
    assert ("corrected_age_years" in found.values) == corrected
    assert "corrected_gap_years" not in found.values
    assert {"lower_years", "upper_years"} <= set(found.values)
    assert found.reasons == ()


def test_a_person_of_the_reference_gets_nothing() -> None:
    found = fit_calibration(out_of_fold()).of_row({**NEW, "subject_id": "sub-17"})
    assert found.in_reference
    assert found.values == {}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"age_years": 25.0}, "the age of 25 years lies outside the 40 to 89 years"),
        ({"age_years": None, "predicted_age_years": 97.0}, "the predicted age of 97 years lies outside"),
        ({"predicted_age_years": 97.0}, ""),
    ],
)
def test_ages_that_the_reference_lacks_are_doubts(row: dict[str, Any], words: str) -> None:
    reasons = fit_calibration(out_of_fold()).of_row({**NEW, **row}).reasons
    assert " ".join(reasons).startswith(words)
    assert bool(reasons) == bool(words)


def test_kinds_of_image_are_told_apart() -> None:
    table = out_of_fold(400)
    table.loc[table["modality"] == "vfa", "predicted_age_years"] += 8
    calibration = fit_calibration(table, by="modality")
    found = {kind: calibration.of_row({**NEW, "modality": kind}).values for kind in ("radiograph", "vfa", "ct", None)}
    difference = found["radiograph"]["corrected_age_years"] - found["vfa"]["corrected_age_years"]
    assert difference == pytest.approx(8, abs=1.5)
    assert found["ct"] == found[None] == {}


def test_what_cannot_be_fitted_is_said_and_the_rest_is_there() -> None:
    table = out_of_fold(104).assign(modality=["radiograph"] * 98 + ["vfa"] * 6)
    calibration = fit_calibration(table, by="modality")
    assert calibration.notes == (
        "modality vfa has 6 people, fewer than 20: no interval.",
        "No correction for modality vfa: too few people to fit a bias correction on (6 with an age and a prediction).",
    )
    tiny = fit_calibration(out_of_fold(6))
    assert tiny.correction is None
    assert tiny.of_row(NEW).values == {}
    assert len(tiny.notes) == 2


def test_a_table_without_ages_cannot_calibrate() -> None:
    with pytest.raises(InputError, match="nothing to calibrate on"):
        fit_calibration(out_of_fold().assign(age_years=np.nan))


@pytest.mark.parametrize("method", ["none", "beheshti", "cole", "quadratic", "age_level"])
def test_written_and_read_it_is_the_same(method: Method, tmp_path: Path) -> None:
    calibration = fit_calibration(out_of_fold(), correction=method, by="modality", level=0.8)
    path = calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(path) == calibration
    again = fit_calibration(out_of_fold(), correction=method, by="modality", level=0.8)
    assert again.to_json() == path.read_text(), "the same reference gives the same file"
    assert "sub-1" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version"),
        ({"hook": "os.system"}, "hook: Extra inputs"),
        ({"intervals": None}, "intervals"),
        ({"fitted_on": {"how": "x"}}, r"fitted_on\.rows"),
    ],
)
def test_a_file_of_another_form_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"not a calibration file.*{words}.*agezoo calibrate"):
        Calibration.from_dict({**fit_calibration(out_of_fold()).to_dict(), **change})


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(InputError, match="calibration file is not JSON"):
        find_calibration([File(tmp_path / "model.pt", sha("a"))])


@pytest.mark.parametrize("names", [["fold_0/model.pt", "fold_1/model.pt"], ["fold_0.pt", "fold_1.pt"], ["fold_1.pt"]])
def test_it_is_found_beside_the_weights_or_above(names: list[str], tmp_path: Path) -> None:
    calibration = fit_calibration(out_of_fold())
    calibration.save(tmp_path / "calibration.json")
    files = [File(tmp_path / name, sha(f"fold {number}")) for number, name in enumerate(names)]
    assert find_calibration(files) == calibration


def test_other_weights_leave_it_aside_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit_calibration(out_of_fold()).save(tmp_path / "calibration.json")
    files = [File(tmp_path / "fold_0.pt", sha("fold 0")), File(tmp_path / "stranger.pt", sha("other"))]
    with caplog.at_level(logging.INFO, logger="agezoo"):
        assert find_calibration(files) is None
    assert "left aside: it was not fitted for stranger.pt" in caplog.text
    assert find_calibration([]) is None
    assert find_calibration([File(tmp_path / "a" / "b" / "c" / "model.pt", sha("fold 0"))]) is None


def test_command_line_ties_it_to_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "crossval"
    for fold in (0, 1):
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "model.pt").write_text(f"fold {fold}")
    table = write_predictions(out_of_fold(), tmp_path, stem="table")
    assert main(["calibrate", str(table), "--weights", str(folder), "--by", "modality"]) == 0
    printed = capsys.readouterr().out
    assert "fitted out of fold on 200 rows of 200 people" in printed
    assert "vfa: bias correction beheshti: coefficients" in printed
    written = Calibration.load(folder / "calibration.json")
    assert written.fitted_on.weights_sha256 == tuple(sorted([sha("fold 0"), sha("fold 1")]))
    (folder / "fold_1" / "model.pt").write_text("trained again")
    assert main(["calibrate", str(table), "--weights", str(folder)]) == 1
    assert "predicted by other weights" in capsys.readouterr().err


def test_command_line_needs_a_place_and_takes_a_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_predictions(out_of_fold(origin="phantom").drop(columns="fold"), tmp_path, stem="table")
    assert main(["calibrate", str(table)]) == 1
    assert "--out FILE" in capsys.readouterr().err
    out = tmp_path / "deep" / "calibration.json"
    assert main(["calibrate", str(table), "--out", str(out), "--level", "0.8", "--correction", "cole"]) == 0
    printed = capsys.readouterr().out
    assert "PHANTOM WEIGHTS" in printed
    assert "as the user states" in printed
    assert "names no weights" not in printed
    nameless = write_predictions(out_of_fold().drop(columns="weights_sha256"), tmp_path, stem="nameless")
    assert main(["calibrate", str(nameless), "--out", str(tmp_path / "nameless.json")]) == 0
    assert "predicting will not use this file" in capsys.readouterr().out
    document = json.loads(out.read_text())
    assert document["intervals"]["level"] == 0.8
    assert document["correction"]["method"] == "cole"
