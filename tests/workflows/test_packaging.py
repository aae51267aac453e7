"""A packaged bundle: complete, the same every time, and enough for somebody who has only MONAI."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import agezoo
from agezoo.analysis.calibration import find_calibration, fit_calibration
from agezoo.cli import main
from agezoo.data.prediction_table import read_predictions
from agezoo.engines.config_parts import config_part
from agezoo.errors import InputError, WeightsError
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.weights import ensemble_sha256, file_sha256, find_weights, load_ensemble, save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root, bundle_version
from agezoo.workflows import packaging
from agezoo.workflows.packaging import PackagedBundle, package_bundle
from bundle_runs import ENVIRONMENT
from cohort_files import write_nifti

REPOSITORY_BUNDLE = bundle_root("ct_age")
WIDTH = {"trunk_width": 4}
ZIP = f"ct_age_v{bundle_version(REPOSITORY_BUNDLE)}.zip"


def write_weights(path: Path, seed: int, **record: Any) -> Path:
    torch.manual_seed(seed)
    state = configured_network(REPOSITORY_BUNDLE, WIDTH).state_dict()
    return save_weights(state, path, {"origin": "phantom", "overrides": WIDTH, **record}).path


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cross-validation with two tiny models."""
    folder = tmp_path_factory.mktemp("crossval")
    for fold in (0, 1):
        write_weights(folder / f"fold_{fold}" / "model.pt", fold, fold=fold)
    return folder


@pytest.fixture(scope="module")
def packaged(folds: Path, tmp_path_factory: pytest.TempPathFactory) -> PackagedBundle:
    """The repository's bundle with both models; read only."""
    return package_bundle("ct_age", tmp_path_factory.mktemp("dist"), weights=folds)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the bundle whose own network is tiny, with things around that its users left."""
    root = tmp_path / "bundles" / "ct_age"
    shutil.copytree(REPOSITORY_BUNDLE, root, ignore=shutil.ignore_patterns("models", "eval", "phantom", "data"))
    for name in ("train.json", "inference.json"):
        config = root / "configs" / name
        config.write_text(json.dumps({**json.loads(config.read_text()), **WIDTH}))
    for name in ("eval/predictions.csv", "data/scan.nii", "models/last.pt", "configs/.train.json.swp", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("private")
    return root


@pytest.fixture
def served(packaged: PackagedBundle) -> Iterator[str]:
    """Address of a web server for the folder that holds the zip."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(packaged.path.parent)))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    http.server_close()
    thread.join()


def content(path: Path) -> dict[str, bytes]:
    """Name -> bytes of a zip's entries."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_name_and_checksum(packaged: PackagedBundle) -> None:
    assert packaged.path.name == ZIP
    sha256 = hashlib.sha256(packaged.path.read_bytes()).hexdigest()
    assert packaged.sha256 == sha256
    # The form that `sha256sum --check` reads.
    assert packaged.path.with_name(ZIP + ".sha256").read_text() == f"{sha256}  {ZIP}\n"
    assert sorted(path.name for path in packaged.path.parent.iterdir()) == [ZIP, ZIP + ".sha256"]


def test_one_folder_with_everything_that_the_zoo_asks_for(packaged: PackagedBundle) -> None:
    files = content(packaged.path)
    assert {name.split("/")[0] for name in files} == {"ct_age"}
    assert sorted(files) == list(packaged.files) == sorted(packaged.files)
    configs = ("metadata", "train", "evaluate", "inference", "multi_gpu_train", "phantom")
    wanted = {f"configs/{name}.json" for name in configs} | {"configs/logging.conf"}
    wanted |= {"LICENSE", "large_files.yml", "docs/README.md", "docs/data_license.txt", "models/model.pt"}
    assert {f"ct_age/{name}" for name in wanted} <= files.keys()
    for name in ("configs/metadata.json", "LICENSE", "large_files.yml"):
        assert files[f"ct_age/{name}"] == (REPOSITORY_BUNDLE / name).read_bytes()


def test_the_package_is_whole_and_without_leavings(packaged: PackagedBundle) -> None:
    package = Path(agezoo.__file__).parent
    inside = {name.removeprefix("ct_age/") for name in packaged.files if name.startswith("ct_age/agezoo/")}
    assert inside == {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".typed", ".j2")
    }
    assert "agezoo/analysis/report.html.j2" in inside
    assert not [name for name in packaged.files if "__pycache__" in name or "tests" in name.split("/")]


def test_the_calibration_file_of_these_weights_goes_along_and_is_found_there(folds: Path, tmp_path: Path) -> None:
    crossval = shutil.copytree(folds, tmp_path / "crossval")
    members = find_weights(REPOSITORY_BUNDLE, crossval)
    table = pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(40)],
            "age_years": np.linspace(30, 80, 40),
            "predicted_age_years": np.linspace(40, 70, 40) + np.tile([2.0, -2.0], 20),
        }
    )
    calibration = fit_calibration(table, weights_sha256=[member.sha256 for member in members])
    calibration.save(crossval / "calibration.json")
    package_bundle("ct_age", tmp_path / "dist", weights=crossval)
    with zipfile.ZipFile(tmp_path / "dist" / ZIP) as archive:
        archive.extractall(tmp_path / "there")
    found = find_weights(tmp_path / "there" / "ct_age")
    assert [file.sha256 for file in found] == [member.sha256 for member in members]
    assert find_calibration(found) == calibration


def test_a_calibration_file_of_other_weights_stays_behind(
    folds: Path, packaged: PackagedBundle, tmp_path: Path
) -> None:
    crossval = shutil.copytree(folds, tmp_path / "crossval")
    table = pd.DataFrame({"age_years": [50.0, 60.0], "predicted_age_years": [51.0, 59.0]})
    fit_calibration(table, weights_sha256=["ab" * 32]).save(crossval / "calibration.json")
    assert package_bundle("ct_age", tmp_path / "dist", weights=crossval).sha256 == packaged.sha256


def test_no_path_of_this_machine(packaged: PackagedBundle, folds: Path) -> None:
    places = [str(place).encode() for place in (folds, folds.parent, REPOSITORY_BUNDLE, Path.home() / ".", Path.cwd())]
    places = [place for place in places if len(place) > 6]
    assert len(places) >= 3
    for name, data in content(packaged.path).items():
        assert not [place for place in places if place in data], name


def test_what_users_left_in_the_folder_stays_there(root: Path, folds: Path, tmp_path: Path) -> None:
    done = package_bundle("ct_age", tmp_path / "dist", weights=folds, root=root)
    own = {name.removeprefix("ct_age/") for name in done.files if not name.startswith("ct_age/agezoo/")}
    assert not own & {"eval/predictions.csv", "data/scan.nii", "models/last.pt", "configs/.train.json.swp", "notes.txt"}
    assert not any(data == b"private" for data in content(done.path).values())


def test_the_same_content_gives_the_same_zip(packaged: PackagedBundle, folds: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    shutil.copytree(folds, again)
    for path in again.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert package_bundle("ct_age", tmp_path, weights=again).path.read_bytes() == packaged.path.read_bytes()


def test_weights_and_their_origin(packaged: PackagedBundle, folds: Path) -> None:
    files = content(packaged.path)
    weights = {name.removeprefix("ct_age/models/") for name in files if name.startswith("ct_age/models/")}
    assert weights == {"model.pt", "model.json", "ensemble/member_1.pt", "ensemble/member_1.json"}
    assert files["ct_age/models/model.pt"] == (folds / "fold_0" / "model.pt").read_bytes()
    assert files["ct_age/models/ensemble/member_1.pt"] == (folds / "fold_1" / "model.pt").read_bytes()
    record = json.loads(files["ct_age/models/model.json"])
    assert record == {
        "origin": "phantom",
        "fold": 0,
        "overrides": WIDTH,
        "sha256": file_sha256(folds / "fold_0" / "model.pt"),
        "members": ["ensemble/member_1.pt"],
    }
    assert json.loads(files["ct_age/models/ensemble/member_1.json"])["fold"] == 1


def test_settings_of_the_layout_become_the_configs_own(packaged: PackagedBundle) -> None:
    files = content(packaged.path)
    for name in ("train.json", "inference.json"):
        original = json.loads((REPOSITORY_BUNDLE / "configs" / name).read_text())
        assert original["trunk_width"] == 64
        inside = json.loads(files[f"ct_age/configs/{name}"])
        assert inside == {**original, **WIDTH}
        assert list(inside) == list(original), "a reader finds things where they were"


def test_configs_that_fit_already_are_left_as_they_are(root: Path, folds: Path, tmp_path: Path) -> None:
    files = content(package_bundle("ct_age", tmp_path / "dist", weights=folds, root=root).path)
    for name in ("train.json", "inference.json"):
        assert files[f"ct_age/configs/{name}"] == (root / "configs" / name).read_bytes()


@pytest.mark.parametrize("origin", ["published", "trained"])
def test_the_authors_licence_goes_with_their_weights_alone(tmp_path: Path, origin: str) -> None:
    weights = write_weights(tmp_path / "model.pt", 0, origin=origin)
    files = content(package_bundle("ct_age", tmp_path / "dist", weights=weights).path)
    assert ("ct_age/models/LICENSE.txt" in files) == (origin == "published")
    if origin == "published":
        assert b"Copyright (c) 2023 Bjarne Kerber" in files["ct_age/models/LICENSE.txt"]


def test_weights_without_a_record_get_one_that_says_so(root: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "model.pt", 0)
    weights.with_suffix(".json").unlink()
    files = content(package_bundle("ct_age", tmp_path / "dist", weights=weights, root=root).path)
    record = json.loads(files["ct_age/models/model.json"])
    assert record == {"origin": "unrecorded", "sha256": file_sha256(weights), "members": []}


def test_installed_weights_are_taken_by_default_and_absent_ones_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights are installed.*agezoo weights fetch ct_age"):
        package_bundle("ct_age", tmp_path / "dist", root=root)
    write_weights(root / "models" / "model.pt", 0, origin="trained")
    write_weights(root / "models" / "phantom" / "model.pt", 1)
    assert [w.origin for w in package_bundle("ct_age", tmp_path / "dist", root=root).weights] == ["trained"]
    assert [w.origin for w in package_bundle("ct_age", tmp_path, root=root, weights="phantom").weights] == ["phantom"]


def test_weights_that_would_not_run_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    weights = write_weights(tmp_path / "model.pt", 0, overrides={})
    with pytest.raises(WeightsError, match="another network layout"):
        package_bundle("ct_age", out, weights=weights)
    write_weights(weights, 0)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="not those that were recorded"):
        package_bundle("ct_age", out, weights=weights)
    write_weights(tmp_path / "run" / "fold_0" / "model.pt", 0)
    write_weights(tmp_path / "run" / "fold_1" / "model.pt", 0, overrides={"trunk_width": 8})
    with pytest.raises(WeightsError, match="networks of different layouts"):
        package_bundle("ct_age", out, weights=tmp_path / "run")
    assert not out.exists()


def test_an_incomplete_bundle_is_refused(root: Path, folds: Path, tmp_path: Path) -> None:
    (root / "LICENSE").unlink()
    with pytest.raises(InputError, match="LICENSE: a part of the bundle is missing"):
        package_bundle("ct_age", tmp_path / "dist", weights=folds, root=root)


def test_a_full_disk_leaves_the_earlier_zip(folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ZIP).write_bytes(b"earlier")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packaging.shutil, "copyfileobj", full)
    with pytest.raises(InputError, match="the zip cannot be written; found: No space left on device"):
        package_bundle("ct_age", tmp_path, weights=folds)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(ZIP, b"earlier")]


def test_command_line(folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "ct_age", "--out", str(tmp_path), "--weights", str(folds)]) == 0
    told = capsys.readouterr().out
    assert f"{tmp_path / ZIP}: " in told
    assert "2 models of origin phantom" in told
    assert "mean nothing for real people" in told
    assert file_sha256(tmp_path / ZIP) in told


def test_monai_downloads_it_and_infers_with_nothing_of_ours_installed(
    served: str, folds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What `python -m monai.bundle download` does, without the seconds that another interpreter takes to start.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    arguments = ["download", "--name", "ct_age", "--url", f"{served}/{ZIP}", "--bundle_dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", *arguments])
    runpy.run_module("monai.bundle", run_name="__main__")
    unzipped = tmp_path / "ct_age"
    assert find_weights(unzipped)[0].path == unzipped / "models" / "model.pt"

    # -S leaves the .pth files aside through which an editable installation is found; the libraries come by PYTHONPATH.
    import monai

    environment = {**ENVIRONMENT, "PYTHONPATH": str(Path(monai.__file__).parents[1])}
    without_ours = functools.partial(
        subprocess.run, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    elsewhere = tmp_path / "scans"
    image = write_nifti(elsewhere / "case.nii.gz", 50.0, seed=5)
    absent = without_ours([sys.executable, "-S", "-c", "import agezoo"], cwd=elsewhere)
    assert "No module named 'agezoo'" in absent.stdout, "the environment of this test still has the package"

    command = ["-m", "monai.bundle", "run", "inferring", "--config_file", "configs/inference.json"]
    done = without_ours([sys.executable, "-S", *command, "--dataset_dir", str(elsewhere)], cwd=unzipped, timeout=300)
    assert done.returncode == 0, done.stdout
    (row,) = read_predictions(unzipped / "eval" / "predictions.csv").to_dict("records")
    assert row["subject_id"] == "case"
    assert row["weights_origin"] == "phantom"
    assert row["weights_sha256"] == ensemble_sha256(find_weights("", folds))
    assert row["epistemic_sd_years"] > 0, "both models were asked"
    assert (unzipped / "eval" / "overlays" / "case.png").stat().st_size > 0

    preprocessing = config_part(REPOSITORY_BUNDLE, "train.json", "preprocessing")
    ensemble: AgeEnsemble = load_ensemble(configured_network(REPOSITORY_BUNDLE, WIDTH), find_weights("", folds))
    with torch.no_grad():
        ages = ensemble(preprocessing({"image": str(image)})["image"][None])[0, :, 0]
    assert row["predicted_age_years"] == pytest.approx(float(ages.mean()), abs=2e-3)
