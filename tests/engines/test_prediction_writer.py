"""From an evaluator to the prediction table: every case once, and no number where there is none."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from tiny_training import SHAPE, ReadNumbersd, preprocessing, write_cohort
from torch import Tensor, nn

from agezoo.analysis.calibration import fit_calibration
from agezoo.data.prediction_table import COLUMNS, read_predictions
from agezoo.engines import CohortDataset, PredictionWriter
from agezoo.engines.prediction_writer import number
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile
from agezoo.transforms.cascade_age import CascadeAged
from agezoo.transforms.gaussian_age import GaussianAged


class MeanTimesHundred(nn.Module):
    """Age = 100 times the image's mean, SD 4; two members 2 years apart when asked as an ensemble."""

    def __init__(self, members: int = 1) -> None:
        super().__init__()
        self.members = members
        self.asked = 0

    def forward(self, image: Tensor) -> Tensor:
        self.asked += len(image)
        age = 100 * image.mean(dim=(1, 2, 3))
        age = torch.where(age > 95, torch.nan, age)
        one = torch.stack([age, torch.full_like(age, math.log(4.0))], dim=1)
        if self.members == 1:
            return one
        shift = torch.tensor([2.0, 0.0])
        return torch.stack([one - shift, one + shift], dim=1)


Evaluate = Callable[..., pd.DataFrame]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Predict rows through a real evaluator and read the table back."""

    def run(
        rows: Sequence[dict[str, Any]],
        *,
        members: int = 1,
        batches: Sequence[Sequence[int]] | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        writer = PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0", **options)
        evaluator(rows, writer, members, batches).run()
        return read_predictions(tmp_path / "out" / "predictions.csv").set_index("subject_id", drop=False)

    return run


def evaluator(
    rows: Sequence[dict[str, Any]], writer: PredictionWriter, members: int = 1, batches: Any = None
) -> SupervisedEvaluator:
    dataset = CohortDataset(rows, preprocessing(), on_error="placeholder", image_shape=SHAPE)
    loader = DataLoader(dataset, batch_sampler=batches) if batches else DataLoader(dataset, batch_size=2)
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=MeanTimesHundred(members),
        postprocessing=GaussianAged("pred"),
        val_handlers=[writer],
    )


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort", 5)


def image_of(path: Path, value: float) -> str:
    np.savetxt(path, np.full(16, 2 * value))
    return str(path)


def test_rows_hold_prediction_and_what_predicted(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    table = evaluate(rows, weights=[WeightsFile(Path("model.pt"), "ab" * 32, "phantom")])
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert list(table["subject_id"]) == [row["subject_id"] for row in rows]
    for row in rows:
        case = table.loc[row["subject_id"]]
        expected = 50 * np.loadtxt(row["image"]).mean()
        assert case["predicted_age_years"] == pytest.approx(expected, abs=1e-3)
        assert case["gap_years"] == pytest.approx(expected - row["age_years"], abs=1e-3)
        assert case["aleatoric_sd_years"] == pytest.approx(4.0, abs=1e-4)
        assert math.isnan(case["epistemic_sd_years"]), "one network knows nothing of it"
        assert case["image"] == row["listed_image"]
    for name, value in (("bundle", "ct_age"), ("bundle_version", "0.1.0"), ("weights_sha256", "ab" * 32),
                        ("weights_origin", "phantom"), ("qc", "pass")):  # fmt: skip
        assert set(table[name]) == {value}
    assert table["error"].isna().all()


def test_an_ensemble_gives_both_kinds_of_uncertainty(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    files = [WeightsFile(Path("a"), "aa", "trained"), WeightsFile(Path("b"), "bb", "published")]
    table = evaluate(rows, members=2, weights=files)
    assert table["epistemic_sd_years"].to_numpy() == pytest.approx(np.full(5, 2.0), abs=1e-4)
    assert table["aleatoric_sd_years"].to_numpy() == pytest.approx(np.full(5, 4.0), abs=1e-4)
    assert set(table["weights_origin"]) == {"published+trained"}


def test_without_weight_files_their_cells_are_empty(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    assert evaluate(rows)[["weights_sha256", "weights_origin"]].isna().all(axis=None)


def test_cases_without_a_prediction_say_why_and_do_not_stop_the_others(
    rows: list[dict[str, Any]], tmp_path: Path, evaluate: Evaluate
) -> None:
    rows += [
        {"image": str(tmp_path / "absent.txt"), "subject_id": "absent", "age_years": 61.0},
        {"image": [], "subject_id": "study", "error": "no usable series"},
        {"image": image_of(tmp_path / "odd.txt", 0.99), "subject_id": "odd", "age_years": 50.0},
    ]
    table = evaluate(rows)
    assert len(table) == 8
    failed = table.loc[["absent", "study", "odd"]]
    empty = ["predicted_age_years", "aleatoric_sd_years", "epistemic_sd_years", "gap_years"]
    assert failed[empty].isna().all(axis=None), "never the age of a blank image"
    assert list(failed["error"]) == [
        f"{tmp_path / 'absent.txt'}: no such file", "no usable series", "the network gave no finite age",
    ]  # fmt: skip
    assert set(failed["qc"]) == {"fail"}
    assert table.loc["absent", "age_years"] == 61.0
    assert table.drop(failed.index)["predicted_age_years"].notna().all()


def test_age_and_sex_come_from_the_header_only_where_the_row_has_none(
    rows: list[dict[str, Any]], evaluate: Evaluate
) -> None:
    rows[0] |= {"age_years": None, "sex": None}
    rows[1] |= {"age_years": math.nan, "sex": ""}
    rows[2] |= {"sex": "M"}
    table = evaluate(rows)
    assert list(table["age_years"][:3]) == [77.5, 77.5, pytest.approx(rows[2]["age_years"], abs=1e-4)]
    assert list(table["sex"][:3]) == ["F", "F", "M"]
    assert table.loc["s00", "gap_years"] == pytest.approx(table.loc["s00", "predicted_age_years"] - 77.5, abs=1e-3)


def test_notes_of_reading_and_a_small_image_are_warnings(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    """The reader of these tests reports an image of 300 x 200 x 400 mm."""
    rows[0]["reading_notes"] = "2 series, chose the thinner"
    table = evaluate(rows, expected_coverage_mm=[200, 150, 300])
    assert list(table["qc"]) == ["warn", "pass", "pass", "pass", "pass"]
    assert table.loc["s00", "qc_reasons"] == "2 series, chose the thinner"
    table = evaluate(rows, expected_coverage_mm=[300, 250, 400.5])
    assert set(table["qc"]) == {"warn"}
    small = "the image covers only 200 mm from back to front (expected at least 250), 400 mm from foot to head"
    assert table.loc["s01", "qc_reasons"].startswith(small)
    assert table.loc["s00", "qc_reasons"].startswith("2 series, chose the thinner; the image covers only")
    assert table["predicted_age_years"].notna().all()


def test_a_case_that_comes_twice_has_one_row(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    """As samplers of distributed runs repeat cases to fill the last batch."""
    assert len(evaluate(rows, batches=[[0, 1], [2, 3], [4, 0], [0, 0]])) == 5


def test_the_same_writer_may_serve_several_runs(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    writer = PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0")
    engine = evaluator(rows, writer)
    for _ in range(2):
        engine.run()
        assert len(read_predictions(tmp_path / "out" / "predictions.csv")) == 5


def test_each_batch_is_safe_on_disk_when_it_is_done(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    writer = PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0")
    engine = evaluator(rows, writer)

    class Dies(MeanTimesHundred):
        def forward(self, image: Tensor) -> Tensor:
            if self.asked >= 4:
                raise RuntimeError("out of memory")
            return super().forward(image)

    engine.network = Dies()
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.run()
    lines = (tmp_path / "out" / "predictions.partial.jsonl").read_text().splitlines()
    assert [json.loads(line)["subject_id"] for line in lines] == ["s00", "s01", "s02", "s03"]
    assert not (tmp_path / "out" / "predictions.csv").exists(), "no table that looks whole"


def test_rank_0_writes_the_rows_of_all_ranks_once(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks that shared the cases, one of which came to both, simulated one after the other."""
    distributed = torch.distributed
    collected: list[dict[int, dict[str, Any]]] = []

    def gather(target: list[Any], own: dict[int, dict[str, Any]]) -> None:
        target[:] = [*collected, own][::-1]

    def run(rank: int, indices: list[int]) -> PredictionWriter:
        writer = PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0")
        with monkeypatch.context() as patch:
            engine = evaluator(rows, writer, batches=[[i] for i in indices])
            # From here on the writer believes in two ranks; the engine itself was built for one.
            patch.setattr("agezoo.engines.prediction_writer.torch_rank", lambda: rank)
            patch.setattr(distributed, "is_initialized", lambda: True)
            patch.setattr(distributed, "get_world_size", lambda *_: 2)
            patch.setattr(distributed, "get_rank", lambda *_: rank)
            patch.setattr(distributed, "all_gather_object", gather)
            engine.run()
        return writer

    collected.append(dict(run(1, [1, 3, 0])._collected))
    assert not (tmp_path / "out").exists(), "rank 1 writes nothing"
    run(0, [0, 2, 4])
    table = read_predictions(tmp_path / "out" / "predictions.csv")
    assert list(table["subject_id"]) == ["s00", "s01", "s02", "s03", "s04"]
    assert table["predicted_age_years"].notna().all()


def write_calibration(folder: Path, *, sha256: str = "ab" * 32, name: str = "reference", **options: Any) -> None:
    """A calibration of 100 people of 40 to 89 years, whose predictions are 20 + 0.7 age with errors of +-5 years."""
    age = np.linspace(40, 89, 100)
    table = pd.DataFrame(
        {
            "subject_id": [f"{name}{i:02d}" for i in range(100)],
            "age_years": age,
            "predicted_age_years": 20 + 0.7 * age + np.tile([5.0, -5.0], 50),
            "aleatoric_sd_years": 2.0,
            "weights_sha256": sha256,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    fit_calibration(table, **options).save(folder / "calibration.json")


def weights_in(folder: Path) -> list[WeightsFile]:
    return [WeightsFile(folder / "fold_0" / "model.pt", "ab" * 32, "trained")]


def test_the_calibration_file_beside_the_weights_fills_its_columns(
    rows: list[dict[str, Any]], tmp_path: Path, evaluate: Evaluate
) -> None:
    write_calibration(tmp_path / "models")
    rows[1]["age_years"] = 25.0
    rows[2]["subject_id"] = "reference03"
    table = evaluate(rows, weights=weights_in(tmp_path / "models"))
    others = table.drop(index="reference03")
    calibration = json.loads((tmp_path / "models" / "calibration.json").read_text())
    quantile, factor = (calibration["intervals"]["groups"]["all"][name] for name in ("quantile_sd", "sd_factor"))
    width = others["upper_years"] - others["lower_years"]
    assert width.to_numpy() == pytest.approx(np.full(4, 2 * quantile * 4.0), abs=1e-3)
    middle = (others["upper_years"] + others["lower_years"]) / 2
    assert middle.to_numpy() == pytest.approx(others["predicted_age_years"].to_numpy(), abs=1e-3)
    assert others["calibrated_sd_years"].to_numpy() == pytest.approx(np.full(4, 4.0 * factor), abs=1e-3)
    expected = others["predicted_age_years"] - (20 - 0.3 * others["age_years"])
    assert others["corrected_age_years"].to_numpy() == pytest.approx(expected.to_numpy(), abs=0.4)
    assert others["corrected_gap_years"].to_numpy() == pytest.approx(
        (others["corrected_age_years"] - others["age_years"]).to_numpy(), abs=1e-3
    )
    empty = ["lower_years", "upper_years", "corrected_age_years", "corrected_gap_years", "calibrated_sd_years"]
    assert table.loc["reference03", empty].isna().all(), "a person of the reference is not judged by their own error"
    assert math.isfinite(table.loc["reference03", "predicted_age_years"])
    assert table.loc["s01", "qc"] == "warn"
    assert table.loc["s01", "qc_reasons"] == "the age of 25 years lies outside the 40 to 89 years of the calibration"
    assert "interval_level" not in table


def test_without_a_fitting_calibration_the_columns_are_empty_and_the_log_says_so_once(
    rows: list[dict[str, Any]], tmp_path: Path, evaluate: Evaluate, caplog: pytest.LogCaptureFixture
) -> None:
    write_calibration(tmp_path / "models", sha256="cd" * 32)
    empty = ["lower_years", "upper_years", "corrected_age_years", "corrected_gap_years"]
    with caplog.at_level(logging.INFO, logger="agezoo"):
        table = evaluate(rows, weights=weights_in(tmp_path / "models"))
    assert table[empty].isna().all(axis=None)
    assert "calibrated_sd_years" not in table
    assert [record.getMessage() for record in caplog.records if "stay empty" in record.getMessage()] == [
        "no calibration file fits these weights: intervals and corrected ages stay empty"
    ]
    assert "it was not fitted for model.pt" in caplog.text


def test_a_damaged_calibration_file_stops_the_run(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text('{"version": 1}')
    with pytest.raises(InputError, match="not a calibration file"):
        PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0", weights=weights_in(tmp_path))
    PredictionWriter(rows, tmp_path / "out", "ct_age", "0.1.0", weights=weights_in(tmp_path), calibrate=False)


def test_another_level_is_written_down(rows: list[dict[str, Any]], tmp_path: Path, evaluate: Evaluate) -> None:
    write_calibration(tmp_path, level=0.5)
    assert set(evaluate(rows, weights=weights_in(tmp_path))["interval_level"]) == {0.5}


def test_the_kind_of_image_comes_from_the_row_and_else_from_the_reader(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluate: Evaluate
) -> None:
    read = ReadNumbersd.__call__

    def reading(self: ReadNumbersd, data: Any) -> dict[Any, Any]:
        result = read(self, data)
        return {**result, "image_facts": {**result["image_facts"], "kind": "vfa"}}

    monkeypatch.setattr(ReadNumbersd, "__call__", reading)
    rows[0]["covariates"] = {"modality": "radiograph", "bmi": 24.0}
    rows[1]["modality"] = "radiograph"
    rows[2]["covariates"] = {"modality": None}
    rows[3]["image"] = "absent.txt"
    table = evaluate(rows)
    assert table["modality"].fillna("").tolist() == ["radiograph", "radiograph", "vfa", "", "vfa"]
    assert "covariate_modality" not in table
    assert table.loc["s00", "bmi"] == 24.0
    assert "covariates" not in rows[1], "the rows that were given stay as they are"


def test_a_ct_has_no_column_of_its_kind(rows: list[dict[str, Any]], evaluate: Evaluate) -> None:
    assert "modality" not in evaluate(rows)


def test_correction_by_kind_uses_the_kind_that_was_read(
    rows: list[dict[str, Any]], tmp_path: Path, evaluate: Evaluate
) -> None:
    age = np.tile(np.linspace(40, 89, 50), 2)
    kind = np.repeat(["radiograph", "vfa"], 50)
    reference = pd.DataFrame(
        {
            "subject_id": [f"r{i}" for i in range(100)],
            "age_years": age,
            "predicted_age_years": age + np.where(kind == "vfa", 8.0, 0.0) + 0.01 * np.tile([1, -1], 50),
            "weights_sha256": "ab" * 32,
            "modality": kind,
        }
    )
    fit_calibration(reference, by="modality").save(tmp_path / "calibration.json")
    rows[0]["covariates"] = {"modality": "vfa"}
    rows[1]["covariates"] = {"modality": "radiograph"}
    table = evaluate(rows, weights=weights_in(tmp_path))
    taken_out = table["predicted_age_years"] - table["corrected_age_years"]
    assert taken_out["s00"] == pytest.approx(8.0, abs=0.05)
    assert taken_out["s01"] == pytest.approx(0.0, abs=0.05)
    assert table.loc[["s02", "s03", "s04"], ["corrected_age_years", "lower_years"]].isna().all(axis=None)


def test_the_unrounded_age_has_a_column_where_the_head_gives_it(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    writer = PredictionWriter(rows, tmp_path / "out", "spine_age", "0.1.0")
    case = {"row": 0, "error": ""}
    output = {"predicted_age_years": torch.tensor([63.0]), "expected_age_years": torch.tensor([62.51])}
    row = writer.case_row(case, output)
    assert (row["predicted_age_years"], row["expected_age_years"]) == (63.0, pytest.approx(62.51))
    assert "expected_age_years" not in writer.case_row(case, {"predicted_age_years": torch.tensor([63.0])})


def test_a_cascades_first_stage_and_the_registration_have_columns_where_they_are_known(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    writer = PredictionWriter(rows, tmp_path / "out", "brain_tsan", "0.1.0")
    names = ["first_stage_age_years", "discretised_age_years", "registration_overlap", "registration_correlation"]
    case = {"row": 0, "error": "", "registration_overlap": torch.tensor(0.9375), "registration_correlation": 0.5}
    row = writer.case_row(case, CascadeAged()({"pred": torch.tensor([63.5, 65.0, 66.25])}))
    assert [row["predicted_age_years"], *(row[name] for name in names)] == [63.5, 66.25, 65.0, 0.9375, 0.5]
    unknown = {"row": 0, "error": "", "registration_overlap": math.nan, "registration_correlation": math.nan}
    assert not set(names) & set(writer.case_row(unknown, CascadeAged()({"pred": torch.tensor([63.5])})))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (math.nan, None), (math.inf, None), (torch.tensor([-math.inf]), None), (torch.tensor([3.5]), 3.5),
     (torch.tensor(2), 2.0), (np.float32(1.5), 1.5), (0, 0.0)],
)  # fmt: skip
def test_number_tells_known_from_unknown(value: Any, expected: float | None) -> None:
    assert number(value) == expected
