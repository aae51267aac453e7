"""One part of a bundle's config built for another config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.transforms import Compose, ScaleIntensity

from agezoo.engines import config_part
from agezoo.registry import bundle_root


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    config: dict[str, Any] = {
        "imports": ["$import agezoo"],
        "bundle_root": "$1 / 0",
        "low": 3,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "ScaleIntensity", "minv": "@low", "maxv": 4}],
        },
        "dataset_dir": "$@bundle_root + '/data'",
        "train": {"sizes": "$[@low, @low + 1]"},
        "broken": "$1 / 0",
    }
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text(json.dumps(config))
    return tmp_path


def test_a_part_is_built_with_what_it_refers_to_and_nothing_else(bundle: Path) -> None:
    part = config_part(bundle, "train.json", "preprocessing")
    assert isinstance(part, Compose)
    (step,) = part.transforms
    assert isinstance(step, ScaleIntensity)
    assert (step.minv, step.maxv) == (3, 4)
    assert config_part(bundle, "train.json", "train::sizes") == [3, 4]


def test_paths_in_it_belong_to_the_bundle_given_and_not_to_the_current_folder(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert config_part(str(bundle), "train.json", "dataset_dir") == f"{bundle}/data"


def test_the_recipe_of_ct_age_is_there() -> None:
    names = [type(t).__name__ for t in config_part(bundle_root("ct_age"), "train.json", "preprocessing").transforms]
    assert names == ["LoadVolumed", "ResampleToGridd", "MaskToBodyd", "CentralSlabProjectiond", "ScaleToUnitd"]
