"""What stands between the command line's settings and MONAI's config parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from agezoo.errors import AgeZooError, InputError, user_error
from agezoo.networks.weights import describe
from agezoo.workflows.bundle_run import check_settings, expression, literal, run_bundle
from agezoo.workflows.preparation import prepare_images
from bundle_runs import training_settings
from cohort_files import Cohort, write_corrupt_nifti, write_datalist, write_nifti


@pytest.mark.parametrize(
    "path", ["/a/b", "/x@y.org/z", "/a#1/b", "/%train.json#seed", "/$HOME/'q\"", "C:\\new\\@x", "/é"]
)
def test_a_path_reaches_the_config_unchanged(path: str) -> None:
    # MONAI reads @ as a reference, # as a separator and % as a macro, also inside a path.
    parser = ConfigParser({"folder": literal(Path(path)), "file": "$@folder + '/x'", "all": expression([path, path])})
    assert parser.get_parsed_content("folder") == str(Path(path))
    assert parser.get_parsed_content("file") == str(Path(path)) + "/x"
    assert parser.get_parsed_content("all") == [path, path]


@pytest.mark.parametrize(("value", "expected"), [(None, None), (3, 3), ("best", "best"), (False, False), ("$1 + 1", 2)])
def test_other_values_reach_the_config(value: Any, expected: Any) -> None:
    assert ConfigParser({"value": literal(value)}).get_parsed_content("value") == expected


def test_none_is_not_dropped(cohort: Cohort, tmp_path: Path) -> None:
    # MONAI drops overrides that are None: fold=None would silently train with fold 0 held out.
    with pytest.raises(InputError, match="section 'validation' has no rows"):
        run_bundle("ct_age", "training", ["train.json"], overrides=training_settings(cohort, tmp_path, fold=None))


@pytest.mark.parametrize("name", ["max_epoch", "train#trainer#max_epoch", "Seed"])
def test_unknown_settings_are_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"train\.json: no such setting in the config; found: {name}; expected:.*seed"
    ):
        run_bundle("ct_age", "training", ["train.json"], overrides={name: 1})


def test_nested_settings_and_those_of_an_overlay_are_known() -> None:
    check_settings("ct_age", ["train.json"], {"train#trainer#max_epochs": 1, "augmentation": None})
    check_settings("ct_age", ["train.json", "phantom"], {"phantom_subjects": 9})
    with pytest.raises(InputError, match="phantom_subjects"):
        check_settings("ct_age", ["train.json"], {"phantom_subjects": 9})


def test_unknown_config_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"phantoms: no such config.*multi_gpu_train"):
        check_settings("ct_age", ["train.json", "phantoms"], {})


def test_only_errors_meant_for_users_lose_their_wrapping() -> None:
    def wrapped(inner: Exception) -> Exception:
        try:
            try:
                raise inner
            except Exception as error:
                raise RuntimeError("failed to evaluate") from error
        except RuntimeError as error:
            return error

    meant = AgeZooError("for the user")
    assert user_error(wrapped(meant)) is meant
    assert user_error(wrapped(KeyError("ours"))) is None


def test_an_unreadable_training_image_is_named(cohort: Cohort, tmp_path: Path) -> None:
    # Read by the loader's own process, so that the error has to survive its journey.
    image = write_corrupt_nifti(tmp_path / "cut.nii.gz")
    rows = [{**row, "image": str(cohort.folder / row["image"])} for row in cohort.rows("training")]
    rows[4]["image"] = str(image)
    datalist = write_datalist(tmp_path / "list.json", training=rows)
    settings = training_settings(cohort, tmp_path / "out", datalist=str(datalist), num_workers=1, max_epochs=1)
    with pytest.raises(InputError, match=r"cut\.nii\.gz: the file is cut off or damaged"):
        run_bundle("ct_age", "training", ["train.json"], overrides=settings)


def test_preparation_names_the_unusable_and_fills_the_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = write_nifti(tmp_path / "good.nii", 50.0, seed=0)
    bad = write_corrupt_nifti(tmp_path / "bad.nii.gz")
    rows = [{"image": str(good)}, {"image": str(bad)}, {"image": [str(tmp_path / "1.dcm"), str(tmp_path / "2.dcm")]}]
    failures = prepare_images("ct_age", rows, tmp_path / "cache", workers=1)
    listed = f"{tmp_path / '1.dcm'}\n{tmp_path / '2.dcm'}"
    assert failures.keys() == {str(bad), listed}
    assert "no such file" in failures[listed]
    assert caplog.text.count("left out: ") == 2
    assert len(list((tmp_path / "cache").glob("*.pt"))) == 1


def test_monai_is_quiet_unless_asked(cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = training_settings(cohort, tmp_path, max_epochs=1)
    run_bundle("ct_age", "training", ["train.json"], overrides=settings)
    quiet = capsys.readouterr()
    assert "Metrics" not in quiet.out + quiet.err
    assert describe(tmp_path / "model.pt").record["epoch"] == 1
