"""A spine cohort on disk: complete, resumable, deterministic, readable, and honest about what it is."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from agezoo.analysis.plan import read_plan
from agezoo.cli import main
from agezoo.data.datalist import load_datalist
from agezoo.data.phantom_datalist import ensure_phantom_datalist
from agezoo.data.radiograph import read_radiograph
from agezoo.errors import InputError
from agezoo.phantoms.spine_cohort import SpineCohort, ensure_spine_cohort, phantom_spine_image, write_spine_cohort
from agezoo.phantoms.spine_labels import LABELS
from agezoo.phantoms.spine_plan import plan_spine_cohort

SMALL = {"subjects": 8, "vfa_subjects": 3, "seed": 1, "quick": True, "progress": False, "workers": 1}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SpineCohort:
    return write_spine_cohort(tmp_path_factory.mktemp("phantom") / "cohort", **SMALL)  # type: ignore[arg-type]


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_every_file_is_read_as_what_was_drawn_bone_bright(cohort: SpineCohort) -> None:
    kinds = Counter()
    for image in plan_spine_cohort(cohort.parameters):
        drawn, _ = phantom_spine_image(image)
        read = read_radiograph(cohort.folder / "images" / f"{image.name}.dcm")
        assert read.kind == image.settings.modality
        assert read.stored_shape == drawn.shape
        assert read.spacing_mm == pytest.approx((image.settings.view.pixel_mm,) * 2)
        assert read.facts.age_years == pytest.approx(image.subject.age_years, abs=0.01)
        assert read.facts.sex == image.subject.sex
        top, left, rows, columns = read.area
        shown = drawn[top : top + rows, left : left + columns] ** image.settings.storage.gamma
        # Same picture up to the scale: the correlation would be negative if a polarity were missed.
        assert np.corrcoef(read.pixels.ravel(), shown.ravel())[0, 1] > 0.999
        kinds[image.settings.storage.kind] += 1
    assert {"cr_10_bit", "dx_lut", "dx_inverted", "secondary_capture"} <= set(kinds)


def test_masks_lie_on_the_stored_image(cohort: SpineCohort) -> None:
    names = json.loads((cohort.folder / "masks" / "labels.json").read_text())
    assert names == LABELS
    for row in cohort.table.itertuples():
        mask = np.asarray(Image.open(cohort.folder / row.mask))
        header = pydicom.dcmread(cohort.folder / row.image, stop_before_pixels=True)
        assert mask.dtype == np.uint8
        assert mask.shape == (header.Rows, header.Columns)
        share = np.bincount(mask.ravel(), minlength=6)[1:5] / mask.size
        assert 0.04 < share[0] < 0.30  # bodies
        assert 0.005 < share[1] < share[0] / 2  # discs
        assert share[3] > 0.02  # posterior elements


def test_headers_are_valid_and_say_phantom(cohort: SpineCohort) -> None:
    uids = set()
    for name in cohort.table["image"]:
        header = pydicom.dcmread(cohort.folder / name, stop_before_pixels=True)
        uids.add(header.SOPInstanceUID)
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
        assert header.Modality in {"CR", "DX", "OT"}
        assert str(header.PatientName).startswith("Phantom^")
        assert "phantom" in header.ImageComments.lower()
        assert header.BurnedInAnnotation == "NO"
        assert int(header.PatientAge[:3]) == (int(header.StudyDate) - int(header.PatientBirthDate)) // 10000
        for element in header:
            pydicom.dataelem.DataElement(element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE)
    assert len(uids) == len(cohort.table)


def test_table_has_one_follow_up_per_person(cohort: SpineCohort) -> None:
    table = pd.read_csv(cohort.folder / "cohort.csv")
    assert len(table) == len(list((cohort.folder / "images").iterdir()))
    assert (table["biological_age_years"] - table["age_years"] - table["deviation_years"]).abs().max() < 1e-6
    assert (table["test"] == ((table["site"] == "scanner_b") | (table["modality"] == "vfa"))).all()
    assert table.groupby("subject_id")[["test", "modality"]].nunique().max().max() == 1
    assert table.loc[table["modality"] == "vfa", "age_years"].between(65, 90).all()
    first = table["session"] == "first"
    assert (~first).any()
    followed = table.filter(regex="^(time|event|competing)_")
    assert followed[first].notna().all(axis=None)
    assert followed[~first].isna().all(axis=None)


def test_fracture_columns_agree_with_the_drawn_spine(cohort: SpineCohort) -> None:
    signs = pd.read_csv(cohort.folder / "signs.csv")
    assert list(signs["image"]) == list(cohort.table["image"])
    assert list(cohort.table["prevalent_vertebral_fracture"]) == list((signs["fractured_vertebrae"] > 0).astype(int))
    assert (cohort.table["osteoporosis"] == (cohort.table["t_score"] <= -2.5)).all()


def test_plan_names_columns_of_the_table(cohort: SpineCohort) -> None:
    plan = read_plan(cohort.folder / "analysis_plan.json")
    named = {plan.by, plan.site, *plan.labels}
    for end_point in plan.end_points:
        named |= {end_point.time, end_point.event, end_point.competing}
    for covariates in plan.models.values():
        named |= set(covariates)
    assert named - {None} <= set(cohort.table.columns)
    sizes = [set(covariates) for covariates in plan.models.values()]
    assert sizes[0] < sizes[1] < sizes[2]


def test_description_states_bounds_and_planted_hazards(cohort: SpineCohort) -> None:
    description = json.loads((cohort.folder / "cohort.json").read_text())
    assert description["complete"] is True
    assert description["origin"] == "phantom"
    assert description["best_possible_mae_years"] == 2.394
    assert description["follow_up"]["hazard_ratio_per_sd_of_deviation"]["vertebral_fracture"] == 1.63
    people = cohort.table[cohort.table["modality"] == "vfa"].drop_duplicates("subject_id")
    stated = description["by_modality"]["vfa"]["mean_guess_mae_years"]
    assert stated == pytest.approx((people["age_years"] - people["age_years"].mean()).abs().mean(), abs=1e-3)


def test_datalist_keeps_the_image_kind_and_the_covariates(cohort: SpineCohort) -> None:
    path = ensure_phantom_datalist(cohort.folder, bundle="spine_age", folds=2)
    datalist = load_datalist(path)
    assert datalist.origin == "phantom"
    assert len(datalist) == len(cohort.table)
    assert {row.covariates["modality"] for row in datalist.training} == {"radiograph"}
    assert {row.covariates["modality"] for row in datalist.test} == {"radiograph", "vfa"}
    assert all("time_any_fracture_years" in row.covariates for row in datalist.test if row.session == "first")
    path.unlink()


def test_finished_images_are_kept_and_missing_ones_written(cohort: SpineCohort) -> None:
    before = fingerprint(cohort.folder)
    victim = Path(cohort.table["image"][2]).stem
    (cohort.folder / "scans" / f"{victim}.json").unlink()
    (cohort.folder / "images" / f"{victim}.dcm").write_bytes(b"half")
    again = write_spine_cohort(cohort.folder, **SMALL)  # type: ignore[arg-type]
    assert again.written == 1
    assert fingerprint(cohort.folder) == before
    assert write_spine_cohort(cohort.folder, **SMALL).written == 0  # type: ignore[arg-type]


def test_other_parameters_are_refused(cohort: SpineCohort) -> None:
    with pytest.raises(InputError, match=r"other parameters.*vfa_subjects 3.*vfa_subjects 4"):
        ensure_spine_cohort(cohort.folder, **{**SMALL, "vfa_subjects": 4})  # type: ignore[arg-type]


def test_parameters_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one person"):
        write_spine_cohort(tmp_path / "a", subjects=0, vfa_subjects=0, seed=1)
    with pytest.raises(InputError, match="vfa_age_range_years"):
        write_spine_cohort(tmp_path / "a", subjects=1, seed=1, vfa_age_range_years=(30.0, 60.0))


def test_files_do_not_depend_on_the_number_of_processes(cohort: SpineCohort, tmp_path: Path) -> None:
    few = {**SMALL, "subjects": 2, "vfa_subjects": 1, "workers": 2}
    parallel = write_spine_cohort(tmp_path / "two", **few)  # type: ignore[arg-type]
    whole = fingerprint(cohort.folder)
    images = {name: value for name, value in fingerprint(parallel.folder).items() if name.endswith((".dcm", ".png"))}
    assert len(images) == 2 * len(parallel.table)
    # The first people of a larger cohort are those of a smaller one.
    assert images.items() <= whole.items()


def test_command_tells_the_bundles_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--out", str(tmp_path / "cohort"), "--subjects", "1", "--quick", "--workers", "1"]
    assert main(["phantom", "ct_age", *quick, "--vfa-subjects", "1"]) != 0
    assert "--vfa-subjects: a ct_age cohort has no such option" in capsys.readouterr().err
    assert main(["phantom", "spine_age", *quick, "--vfa-subjects", "1"]) == 0
    table = pd.read_csv(tmp_path / "cohort" / "cohort.csv")
    assert set(table["modality"]) == {"radiograph", "vfa"}
