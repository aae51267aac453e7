"""Published brain-age checkpoints, one file for each stage, become one weights file; what does not fit is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agezoo import registry
from agezoo.cli import main
from agezoo.errors import WeightsError
from agezoo.networks import TSAN, ScaleDense, load_ensemble
from agezoo.networks.tsan import SecondStage
from agezoo.networks.weights import describe, find_weights, read_state_dict, save_weights
from agezoo.networks.weights_install import fetch_published, import_weights

SIZE = {"stem_channels": 2, "n_blocks": 2}
SETTINGS = {**SIZE, "stages": 2, "spacing_mm": 2.0}


def as_published(network: nn.Module, path: Path) -> Path:
    """A file as the authors' training script writes it."""
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "arch": "ScaleDense", "state_dict": state, "optimizer": {"state": {}}}, path)
    return path


@pytest.fixture(scope="module")
def stages() -> tuple[ScaleDense, SecondStage]:
    torch.manual_seed(0)
    first, second = ScaleDense(**SIZE), SecondStage(**SIZE)
    with torch.no_grad():
        first.end_fc_with_gender[1].bias.fill_(64.0)
    return first, second


@pytest.fixture
def files(stages: tuple[ScaleDense, SecondStage], tmp_path: Path) -> tuple[Path, Path]:
    """Both under names that do not tell which is which."""
    return as_published(stages[0], tmp_path / "a.pth.tar"), as_published(stages[1], tmp_path / "b.pth.tar")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The bundle's configs without weights."""
    root = tmp_path / "brain_tsan"
    shutil.copytree(registry.bundle_root("brain_tsan") / "configs", root / "configs")
    (root / "models").mkdir()
    return root


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
def test_a_pair_becomes_one_cascade_whatever_its_order(
    root: Path, files: tuple[Path, Path], stages: tuple[ScaleDense, SecondStage], turned: bool
) -> None:
    done = import_weights("brain_tsan", files[::-1] if turned else files, root=root)
    assert done.model == root / "models" / "model.pt"
    (installed,) = find_weights(root)
    assert installed.origin == "imported"
    assert installed.record["overrides"] == SETTINGS
    assert installed.record["sources"] == [
        {"stage": 1, "name": "a.pth.tar", "sha256": sha256(files[0])},
        {"stage": 2, "name": "b.pth.tar", "sha256": sha256(files[1])},
    ]
    state = read_state_dict(installed.path)
    expected = {f"first_stage.{name}": tensor for name, tensor in stages[0].state_dict().items()}
    expected |= {f"second_stage.{name}": tensor for name, tensor in stages[1].state_dict().items()}
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert str(root.parent) not in installed.path.with_suffix(".json").read_text(), "names without their folder"


def test_imported_cascade_gives_the_stages_ages(
    root: Path, files: tuple[Path, Path], stages: tuple[ScaleDense, SecondStage]
) -> None:
    import_weights("brain_tsan", files, root=root)
    network = load_ensemble(TSAN(**SIZE), find_weights(root))
    image, sex = torch.rand(2, 1, 16, 17, 16), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    first, second = (stage.eval() for stage in stages)
    with torch.no_grad():
        output = network(image, sex)[:, 0]
        rough = first(image, sex)
        rounded = torch.full((2, 1), 65.0)
        assert ((rough - 64).abs() < 1.5).all()
        assert torch.allclose(output, torch.cat([rounded + second(image, sex, rounded), rounded, rough], dim=1))


def test_a_first_stage_alone(root: Path, files: tuple[Path, Path], stages: tuple[ScaleDense, SecondStage]) -> None:
    import_weights("brain_tsan", files[:1], root=root)
    (installed,) = find_weights(root)
    assert installed.record["overrides"] == {**SETTINGS, "stages": 1}
    state = read_state_dict(installed.path)
    assert state.keys() == stages[0].state_dict().keys()


def test_own_cascades_come_in_as_an_ensemble_with_their_records(root: Path, tmp_path: Path) -> None:
    own = []
    for fold in (0, 1):
        record = {"origin": "phantom", "fold": fold, "overrides": {**SETTINGS, "spacing_mm": 4.0}}
        own.append(save_weights(TSAN(**SIZE).state_dict(), tmp_path / f"{fold}" / "model.pt", record).path)
    import_weights("brain_tsan", own, root=root)
    installed = find_weights(root)
    assert [(f.origin, f.record["fold"], f.record["overrides"]["spacing_mm"]) for f in installed] == [
        ("phantom", 0, 4.0),
        ("phantom", 1, 4.0),
    ]


def test_own_first_stages_with_records_are_an_ensemble(root: Path, tmp_path: Path) -> None:
    own = [
        save_weights(
            ScaleDense(**SIZE).state_dict(),
            tmp_path / f"{fold}" / "model.pt",
            {"origin": "trained", "fold": fold, "overrides": {**SETTINGS, "stages": 1}},
        ).path
        for fold in (0, 1)
    ]
    import_weights("brain_tsan", own, root=root)
    assert [(f.origin, f.record["fold"]) for f in find_weights(root)] == [("trained", 0), ("trained", 1)]


def test_a_cascade_without_a_record_is_sized_by_its_shapes(root: Path, tmp_path: Path) -> None:
    torch.save(TSAN(**SIZE).state_dict(), tmp_path / "own.pt")
    import_weights("brain_tsan", [tmp_path / "own.pt"], root=root)
    (installed,) = find_weights(root)
    assert (installed.origin, installed.record["overrides"]) == ("imported", SETTINGS)


def test_a_phantom_stage_makes_a_phantom_cascade(
    root: Path, tmp_path: Path, files: tuple[Path, Path], stages: tuple[ScaleDense, SecondStage]
) -> None:
    record = {"origin": "phantom", "overrides": {**SETTINGS, "stages": 1}}
    first = save_weights(stages[0].state_dict(), tmp_path / "first.pt", record).path
    import_weights("brain_tsan", [files[1], first], root=root)
    (installed,) = find_weights(root)
    assert installed.origin == "phantom"


def without(network: nn.Module, name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in network.state_dict().items() if key != name}


def test_what_makes_no_cascade_is_refused_and_changes_nothing(
    root: Path, tmp_path: Path, files: tuple[Path, Path], stages: tuple[ScaleDense, SecondStage]
) -> None:
    first, second = files
    other_first = as_published(ScaleDense(**SIZE), tmp_path / "c.pth")
    other_second = as_published(SecondStage(**SIZE), tmp_path / "d.pth")
    wide, deep = (
        as_published(SecondStage(3, 2), tmp_path / "w.pth"),
        as_published(SecondStage(2, 3), tmp_path / "e.pth"),
    )
    cascade = tmp_path / "cascade.pt"
    torch.save(TSAN(**SIZE).state_dict(), cascade)
    cut = tmp_path / "cut.pth"
    torch.save(without(stages[1], "dis_fc.2.bias"), cut)
    foreign = tmp_path / "foreign.pth"
    torch.save({"conv1.weight": torch.ones(1), "layer1.0.bias": torch.ones(1)}, foreign)
    coarse = save_weights(
        stages[0].state_dict(), tmp_path / "coarse.pt", {"origin": "trained", "overrides": {"spacing_mm": 4.0}}
    ).path
    cases: list[tuple[list[Path], str]] = [
        ([first, other_first], r"several files hold a first stage; found: a\.pth\.tar, c\.pth; .*--out"),
        ([first, second, other_second], r"several files hold a second stage; found: b\.pth\.tar, d\.pth"),
        ([second], r"b\.pth\.tar: the second stage is of no use without the first"),
        ([first, wide], r"different sizes; found: 2 stem channels and 2 blocks in a\.pth\.tar, 3 stem channels and 2"),
        ([deep, first], r"different sizes; found: 2 stem channels and 2 blocks in a\.pth\.tar, 2 stem channels and 3"),
        ([first, cascade], r"a stage and whole weights cannot be installed together"),
        (
            [first, cut],
            r"a\.pth\.tar and cut\.pth: the weights belong to another network layout; found: 1 tensors missing",
        ),
        ([foreign], r"foreign\.pth: the file holds neither a first nor a second stage.* called conv1, layer1"),
        ([coarse, second], r"trained on different grids; found: 2 mm and 4 mm"),
        ([first, first], "the same weights are given twice"),
    ]
    for given, message in cases:
        with pytest.raises(WeightsError, match=message):
            import_weights("brain_tsan", given, root=root)
    assert list((root / "models").iterdir()) == []


def test_published_weights_cannot_be_fetched_and_the_message_says_how_to_get_them() -> None:
    with pytest.raises(WeightsError) as caught:
        fetch_published("brain_tsan")
    message = str(caught.value)
    assert "https://github.com/Milan-BUAA/TSAN-brain-age-estimation with a browser" in message
    assert "agezoo weights import brain_tsan STAGE1 STAGE2" in message
    assert "checksums are not known" in message


def test_command_line(root: Path, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "brain_tsan"]) == 1
    assert "needs a browser" in capsys.readouterr().err
    assert main(["weights", "list", "brain_tsan"]) == 0
    assert "agezoo weights import brain_tsan STAGE1 STAGE2" in capsys.readouterr().out
    out = tmp_path / "out"
    assert main(["weights", "import", "brain_tsan", *map(str, files), "--out", str(out)]) == 0
    assert "installed 1 imported weight files" in capsys.readouterr().out
    assert describe(out / "member_0.pt").record["bundle"] == "brain_tsan"
    told: dict[str, Any] = json.loads((out / "member_0.json").read_text())
    assert all(isinstance(value, int | float) for value in told["overrides"].values())
