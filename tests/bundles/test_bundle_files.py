"""What a bundle's folder holds and how its configs hang together, without running anything."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agezoo.registry import BUNDLES, bundle_root
from bundle_runs import REPOSITORY

READY = [name for name, facts in BUNDLES.items() if facts.state == "ready"]
CONFIG_FILES = ("train", "evaluate", "inference", "multi_gpu_train", "phantom", "metadata")
OWN_FILES = {"spine_age": ("finetune_vfa",), "brain_tsan": ("train_stage2",), "wholebody_mr": ("organ",)}
"""Configs that one bundle alone has."""
COMBINATIONS = [
    ["train"],
    ["train", "phantom"],
    ["train", "multi_gpu_train"],
    ["train", "phantom", "multi_gpu_train"],
    ["train", "evaluate"],
    ["train", "phantom", "evaluate"],
    ["train", "evaluate", "multi_gpu_train"],
    ["inference"],
    ["inference", "phantom"],
]
OWN_COMBINATIONS = {
    "spine_age": [
        ["train", "finetune_vfa"],
        ["train", "finetune_vfa", "evaluate"],
        ["train", "finetune_vfa", "phantom"],
        ["train", "finetune_vfa", "multi_gpu_train"],
    ],
    "brain_tsan": [
        ["train", "train_stage2"],
        ["train", "train_stage2", "evaluate"],
        ["train", "train_stage2", "phantom"],
        ["train", "phantom", "train_stage2", "multi_gpu_train"],
    ],
    "wholebody_mr": [
        ["train", "organ"],
        ["train", "organ", "evaluate"],
        ["train", "organ", "phantom"],
        ["train", "phantom", "organ", "multi_gpu_train"],
    ],
}
LARGEST_FILE = 25 * 2**20


def configs(bundle: str) -> Path:
    return bundle_root(bundle) / "configs"


def read(bundle: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((configs(bundle) / f"{name}.json").read_text())
    return content


EVERY_FILE = [(bundle, name) for bundle in READY for name in (*CONFIG_FILES, *OWN_FILES.get(bundle, ()))]
EVERY_COMBINATION = [(bundle, c) for bundle in READY for c in (*COMBINATIONS, *OWN_COMBINATIONS.get(bundle, ()))]


@pytest.fixture(params=READY)
def bundle(request: pytest.FixtureRequest) -> str:
    """Each bundle that is ready."""
    name: str = request.param
    return name


def strings(value: Any) -> Iterator[str]:
    """Every text in a config, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def requirement_name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    """Package -> exact version of the constraints file."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {requirement_name(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def tracked_files() -> list[Path]:
    """The files under version control."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [REPOSITORY / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("name", ["LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"])
def test_file_that_the_zoo_asks_for(bundle: str, name: str) -> None:
    assert (bundle_root(bundle) / name).stat().st_size > 0


def test_name_of_the_bundle(bundle: str) -> None:
    # MONAI takes what follows `_v` in a name for the version.
    assert "_v" not in bundle_root(bundle).name


@pytest.mark.parametrize(("bundle", "name"), EVERY_FILE)
def test_no_key_is_written_twice(bundle: str, name: str) -> None:
    # MONAI only warns of it and takes the last one.
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [key for key, _ in pairs]
        assert len(set(names)) == len(names), f"doubled key among {names}"
        return dict(pairs)

    json.loads((configs(bundle) / f"{name}.json").read_text(), object_pairs_hook=unique)


@pytest.mark.parametrize(("bundle", "name"), EVERY_FILE)
def test_no_path_of_anybodys_machine(bundle: str, name: str) -> None:
    absolute = re.compile(r"(^|['\"\s=(\[])(/[A-Za-z_.~][\w.-]*/|~/|[A-Za-z]:[\\/])")
    found = [text for text in strings(read(bundle, name)) if absolute.search(text) and not text.startswith("https://")]
    # "/models" and the like are appended to a folder that the user chooses.
    assert [text for text in found if " + '/" not in text] == []


@pytest.mark.parametrize(("bundle", "files"), EVERY_COMBINATION, ids=lambda v: v if isinstance(v, str) else "+".join(v))
def test_every_reference_has_its_target(bundle: str, files: list[str]) -> None:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config([str(configs(bundle) / f"{name}.json") for name in files])
    texts = [text for text in strings(parser.get()) if text.startswith(("@", "$", "%"))]
    targets = {name.replace("#", "::") for text in texts for name in re.findall(r"@([\w#:]+)", text)}
    targets |= {text[1:] for text in texts if text.startswith("%")}
    assert len(targets) > 20
    assert sorted(name for name in targets if name.rstrip(":") not in parser) == []


@pytest.mark.parametrize(("bundle", "name"), EVERY_FILE)
def test_every_expression_is_python(bundle: str, name: str) -> None:
    for text in strings(read(bundle, name)):
        if text.startswith("$"):
            ast.parse(re.sub(r"@([\w#:]+)", "reference", text[1:]), mode="exec")


@pytest.mark.parametrize("name", ["train", "evaluate", "inference"])
def test_entry_point_has_two_names(bundle: str, name: str) -> None:
    entry = {"train": "training", "evaluate": "evaluating", "inference": "inferring"}[name]
    config = read(bundle, name)
    assert isinstance(config["run"], list)
    assert config[entry] == "%run", "a macro, so that an overlay's run is followed"


@pytest.mark.parametrize(("bundle", "overlay"), [pair for pair in EVERY_FILE if pair[1] != "metadata"])
def test_overlays_and_configs_say_what_they_are_for(bundle: str, overlay: str) -> None:
    assert len(read(bundle, overlay)["_about_"]) > 100


def test_preprocessing_and_layout_are_not_copied(bundle: str) -> None:
    train, inference = read(bundle, "train"), read(bundle, "inference")
    assert inference["network_def"].items() <= train["network_def"].items(), "only what acts in training may differ"
    assert inference["postprocessing"] == train["postprocessing"]
    assert "config_part(" in inference["preprocessing"], "taken from train.json"
    assert not {"preprocessing", "network_def", "loss"} & read(bundle, "evaluate").keys()


def test_a_training_is_resumed_only_with_the_same_settings(bundle: str) -> None:
    # Whatever decides the weights belongs to the identity that a checkpoint is compared with.
    train = read(bundle, "train")
    handlers = {handler["_target_"].rsplit(".", 1)[-1]: handler for handler in train["train"]["handlers"]}
    compared = set(re.findall(r"@(\w+)", handlers["TrainingCheckpoint"]["identity"]))
    plain = {name for name, value in train.items() if isinstance(value, int | float | None)}
    harmless = {"resume", "num_workers", "val_interval", "parent_run_id"}
    assert {"seed", "learning_rate"} < plain
    assert plain - harmless - compared == set()
    assert {"datalist_sha256", "fold", "keep"} <= compared


def test_versions_of_the_metadata_are_those_that_are_tested(bundle: str, pinned: dict[str, str]) -> None:
    metadata = read(bundle, "metadata")
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    assert {name: pinned.get(requirement_name(name)) for name in named} == named


def test_metadata_names_what_the_package_needs(bundle: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {requirement_name(text) for text in project["dependencies"]}
    metadata = read(bundle, "metadata")
    named = {requirement_name(name) for name in metadata["required_packages_version"]} | {"monai", "torch", "numpy"}
    # fire and jsonschema serve MONAI's command line and its metadata check, not the bundle's own code.
    assert needed - {"fire", "jsonschema"} == named


def test_versions_fit_the_ranges_of_the_package(pinned: dict[str, str]) -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    listed = project["dependencies"] + [text for extra in project["optional-dependencies"].values() for text in extra]
    for requirement in map(Requirement, listed):
        assert pinned[requirement_name(requirement.name)] in requirement.specifier, str(requirement)


def test_version_is_sortable_and_has_its_entry_in_the_changelog(bundle: str) -> None:
    metadata = read(bundle, "metadata")
    version = metadata["version"]
    # MONAI compares versions as text, so 0.10.0 would come before 0.9.0.
    assert re.fullmatch(r"\d\.\d\.\d", version)
    assert metadata["changelog"][version]
    assert next(iter(metadata["changelog"])) == version, "the newest stands first"


def test_no_file_is_too_large_for_the_zoo(tracked_files: list[Path]) -> None:
    present = [path for path in tracked_files if path.is_file()]
    assert len(present) > 50
    assert [path.name for path in present if path.stat().st_size > LARGEST_FILE] == []


def test_weights_under_version_control_have_their_record(tracked_files: list[Path]) -> None:
    from agezoo.networks.weights import describe

    for path in tracked_files:
        if path.suffix == ".pt" and path.is_relative_to(REPOSITORY / "bundles"):
            assert describe(path).origin in ("phantom", "published")
