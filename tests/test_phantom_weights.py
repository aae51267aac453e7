"""Storing the folds of a cross-validation as a bundle ships them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from agezoo.networks.weights import describe, read_state_dict, save_weights

SCRIPT = Path(__file__).parents[1] / "scripts" / "phantom_weights.py"


def _stored(monkeypatch: pytest.MonkeyPatch, crossval: Path, out: Path) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(crossval), str(out)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def _fold(crossval: Path, number: int, origin: str) -> dict[str, torch.Tensor]:
    state = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)).state_dict()
    save_weights(state, crossval / f"fold_{number}" / "model.pt", {"origin": origin, "fold": number, "seed": 7})
    return state


def test_each_fold_is_stored_in_half_precision_with_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {number: _fold(tmp_path / "crossval", number, "phantom") for number in (0, 1)}
    _stored(monkeypatch, tmp_path / "crossval", tmp_path / "out")
    for number, state in states.items():
        file = describe(tmp_path / "out" / f"fold_{number}.pt")
        assert (file.origin, file.record["fold"], file.record["seed"]) == ("phantom", number, 7)
        stored = read_state_dict(file.path)
        assert stored["0.weight"].dtype == torch.float16
        assert stored["1.num_batches_tracked"].dtype == torch.int64
        torch.testing.assert_close(stored["0.weight"].float(), state["0.weight"], atol=1e-3, rtol=1e-3)


def test_only_phantom_weights_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fold(tmp_path / "crossval", 0, "trained")
    with pytest.raises(SystemExit, match="origin 'trained', not of phantoms"):
        _stored(monkeypatch, tmp_path / "crossval", tmp_path / "out")
    with pytest.raises(SystemExit, match=r"no fold_N/model\.pt"):
        _stored(monkeypatch, tmp_path / "nothing", tmp_path / "out")
