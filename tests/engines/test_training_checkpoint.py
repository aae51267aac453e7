"""The weights to keep, and going on behind a kill as if nothing had happened."""

from __future__ import annotations

import csv
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from tiny_training import Killed, build_training, write_cohort
from torch import nn

from agezoo.engines.training_checkpoint import bare_network, plain, training_is_complete
from agezoo.errors import InputError, TrainingDivergedError
from agezoo.networks.weights import describe, load_strictly, read_state_dict


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort")


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "eval" / "training_history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def record(folder: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((folder / "models" / "model.json").read_text())
    return kept


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_training_ends_like_one_that_was_not(rows: list[dict[str, Any]], tmp_path: Path, workers: int) -> None:
    """To the last bit: weights, schedule, optimiser, order of the images, augmentation, dropout and history."""
    whole = build_training(tmp_path / "whole", rows, epochs=5)
    whole.run()
    killed = build_training(tmp_path / "killed", rows, epochs=5, kill_in_epoch=4, first_seed=0)
    with pytest.raises(Killed):
        killed.run()
    assert len(history(tmp_path / "killed")) == 3
    again = build_training(tmp_path / "killed", rows, epochs=5, workers=workers, first_seed=77)
    assert not torch.equal(again.weights(), killed.weights())
    again.run()
    assert torch.equal(again.weights(), whole.weights())
    for one, two in zip(again.network.buffers(), whole.network.buffers(), strict=True):
        assert torch.equal(one, two)
    assert again.checkpoint.optimizer.param_groups[0]["lr"] == whole.checkpoint.optimizer.param_groups[0]["lr"]
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
    assert record(tmp_path / "killed") == record(tmp_path / "whole")
    assert (tmp_path / "killed/models/model.pt").read_bytes() == (tmp_path / "whole/models/model.pt").read_bytes()


def test_the_learning_rate_goes_on_where_it_was(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Warm-up from 0.1 over two epochs to 0.05, then half a cosine over the other three: by hand."""
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=5, kill_in_epoch=4).run()
    again = build_training(tmp_path, rows, epochs=5)
    rates: list[float] = []
    again.trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda e: rates.append(again.checkpoint.optimizer.param_groups[0]["lr"])
    )
    again.run()
    assert rates[0] == pytest.approx(0.05 * 0.5 * (1 + np.cos(np.pi / 3)))
    assert rates[-1] == pytest.approx(0.05 * 0.5 * (1 + np.cos(2 * np.pi / 3)))
    assert len(rates) == 6, "two epochs of three batches"


def test_running_a_finished_training_again_changes_nothing(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    first = build_training(tmp_path, rows, epochs=2)
    first.run()
    before = {p.name: p.read_bytes() for p in (tmp_path / "models").iterdir()}
    again = build_training(tmp_path, rows, epochs=2, first_seed=1)
    again.run()
    assert again.trainer.state.iteration == first.trainer.state.iteration
    assert torch.equal(again.weights(), first.weights())
    assert {p.name: p.read_bytes() for p in (tmp_path / "models").iterdir()} == before
    assert len(history(tmp_path)) == 2


def test_the_epoch_with_the_lowest_error_is_kept(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []
    maes = {1: 9.0, 2: 4.0, 3: 4.5, 4: 4.0}
    training = build_training(tmp_path, rows, epochs=4, validated_mae=maes.__getitem__)
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda e: seen.append(training.weights().clone()))
    training.run()
    kept = read_state_dict(tmp_path / "models" / "model.pt")
    learnt = [kept[name].flatten() for name, _ in training.network.named_parameters()]
    assert torch.equal(torch.cat(learnt), seen[1]), "of two equals the earlier"
    assert {k: record(tmp_path)[k] for k in ("origin", "fold", "epoch", "kept", "validation")} == {
        "origin": "trained", "fold": 0, "epoch": 2, "kept": "best", "validation": {"val_mae_years": 4.0},
    }  # fmt: skip


def test_the_best_so_far_survives_a_kill(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """A resumed run must not take its first validation for the best one."""
    maes = {1: 9.0, 2: 4.0, 3: 8.0, 4: 7.0}
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=4, kill_in_epoch=3, validated_mae=maes.__getitem__).run()
    again = build_training(tmp_path, rows, epochs=4, validated_mae=maes.__getitem__)
    again.run()
    assert record(tmp_path)["epoch"] == 2
    assert (again.checkpoint.best_value, again.checkpoint.best_epoch) == (4.0, 2)


def test_a_higher_value_wins_where_higher_is_better(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    training = build_training(tmp_path, rows, epochs=3, validated_mae={1: 0.2, 2: 0.9, 3: 0.5}.__getitem__)
    training.checkpoint.lower_is_better = False
    training.run()
    assert record(tmp_path)["epoch"] == 2


def test_the_last_epoch_is_kept_for_cross_validation(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Whatever its error, and no earlier epoch in its stead when the training is killed."""
    maes = {1: 1.0, 2: 4.0, 3: 8.0}
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=3, kill_in_epoch=3, keep="last", validated_mae=maes.__getitem__).run()
    assert not (tmp_path / "models" / "model.pt").exists()
    training = build_training(tmp_path, rows, epochs=3, keep="last", validated_mae=maes.__getitem__)
    training.run()
    kept = read_state_dict(tmp_path / "models" / "model.pt")
    assert torch.equal(kept["1.weight"], training.network[1].weight)
    assert (record(tmp_path)["epoch"], record(tmp_path)["kept"]) == (3, "last")


def test_epochs_without_validation_do_not_count(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Epoch 3 has the numbers of epoch 2's validation at hand, but not its weights."""
    training = build_training(tmp_path, rows, epochs=3, val_interval=2, validated_mae=lambda epoch: 5.0)
    training.run()
    assert record(tmp_path)["epoch"] == 2


@pytest.mark.parametrize("case", ["never validated", "always NaN"])
def test_a_training_that_is_never_validated_still_leaves_weights(
    rows: list[dict[str, Any]], tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    interval = 9 if case == "never validated" else 1
    training = build_training(tmp_path, rows, epochs=2, val_interval=interval, validated_mae=lambda e: float("nan"))
    with caplog.at_level(logging.WARNING, logger="agezoo"):
        training.run()
    assert "the last epoch's weights are kept" in caplog.text
    assert (record(tmp_path)["epoch"], record(tmp_path)["kept"]) == (2, "last")


def test_an_error_of_an_earlier_epoch_is_not_recorded_as_the_last_ones(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Validation every second epoch; the weights kept are of the third."""
    training = build_training(tmp_path, rows, epochs=3, keep="last", val_interval=2, validated_mae=lambda epoch: 5.0)
    training.run()
    assert (record(tmp_path)["epoch"], record(tmp_path)["validation"]) == (3, {})


def test_a_standardised_head_is_kept_as_the_bare_network_in_years(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Resuming goes on with the standardised one, to the last bit."""
    whole = build_training(tmp_path / "whole", rows, epochs=3, keep="last", standardised=True)
    whole.run()
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=3, keep="last", standardised=True, kill_in_epoch=3).run()
    again = build_training(tmp_path, rows, epochs=3, keep="last", standardised=True, first_seed=1)
    again.run()
    assert torch.equal(again.weights(), whole.weights())
    bare = build_training(tmp_path / "bare", rows, first_seed=2).network
    load_strictly(bare, tmp_path / "models" / "model.pt").eval()
    image = again.dataset[0]["image"][None]
    assert torch.allclose(bare(image), again.network.eval()(image), rtol=1e-5)


def test_a_checkpoint_of_another_layout_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """As after an update that changed the network, which the identity does not know of."""
    build_training(tmp_path, rows, epochs=1, standardised=True).run()
    with pytest.raises(InputError, match=r"last\.pt: the checkpoint there is of another network layout"):
        build_training(tmp_path, rows, epochs=1).run()


def test_another_run_in_the_folder_is_refused_with_what_differs(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    build_training(tmp_path, rows, epochs=2, identity={"seed": 5, "fold": 0, "lr": 0.1}).run()
    before = (tmp_path / "models" / "last.pt").read_bytes()
    other = build_training(tmp_path, rows, epochs=2, identity={"seed": 5, "fold": 1, "lr": 0.1, "width": 16})
    message = r"last\.pt: .*another training; found: fold=0, width=None; expected: fold=1, width=16; .*--resume False"
    with pytest.raises(InputError, match=message):
        other.run()
    assert (tmp_path / "models" / "last.pt").read_bytes() == before
    build_training(tmp_path, rows, epochs=2, identity={"fold": 1}, resume=False).run()
    assert (tmp_path / "models" / "last.pt").read_bytes() != before


def test_starting_afresh_pays_no_heed_to_what_is_there(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    first = build_training(tmp_path, rows, epochs=2)
    first.run()
    again = build_training(tmp_path, rows, epochs=2, resume=False)
    again.run()
    assert again.trainer.state.iteration == first.trainer.state.iteration
    assert torch.equal(again.weights(), first.weights())
    assert [row["epoch"] for row in history(tmp_path)] == ["1", "2"]


def test_files_open_without_running_code_and_nothing_is_left_behind(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    build_training(tmp_path, rows, epochs=2).run()
    state = torch.load(tmp_path / "models" / "last.pt", weights_only=True)
    assert state["epoch"] == 2
    assert describe(tmp_path / "models" / "model.pt").origin == "trained"
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["last.pt", "model.json", "model.pt"]


@pytest.mark.parametrize("content", ["hostile", "cut short", "something else"])
def test_a_checkpoint_that_cannot_be_opened_is_named(rows: list[dict[str, Any]], tmp_path: Path, content: str) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    build_training(tmp_path, rows, epochs=1).run()
    last = tmp_path / "models" / "last.pt"
    if content == "cut short":
        last.write_bytes(last.read_bytes()[:-300])
    else:
        torch.save(Hostile() if content == "hostile" else {"model": torch.ones(1)}, last)
    with pytest.raises(InputError, match=r"last\.pt: not the checkpoint of a training, or a damaged one"):
        build_training(tmp_path, rows, epochs=1).run()
    assert not (tmp_path / "marker").exists()
    assert not training_is_complete(tmp_path / "models", 1)


def test_numbers_of_numpy_do_not_make_the_checkpoint_unreadable(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """A learning rate computed with NumPy is a common one."""
    training = build_training(tmp_path, rows, epochs=1)
    training.checkpoint.optimizer.param_groups[0]["weight_decay"] = np.float64(0.01)
    training.run()
    state = torch.load(tmp_path / "models" / "last.pt", weights_only=True)
    assert state["optimizer"]["param_groups"][0]["weight_decay"] == 0.01


def test_complete_means_all_epochs_and_weights_that_fit_their_record(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    assert not training_is_complete(models, 1)
    build_training(tmp_path, rows, epochs=2).run()
    assert training_is_complete(models, 2)
    assert not training_is_complete(models, 3)
    content = (models / "model.pt").read_bytes()
    (models / "model.pt").write_bytes(content[:-1])
    assert not training_is_complete(models, 2)
    (models / "model.pt").write_bytes(content)
    (models / "model.json").unlink()
    assert not training_is_complete(models, 2), "weights without a record"


def test_a_diverged_training_ends_and_keeps_the_epoch_before(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """MONAI's metrics skip ages that are no numbers, so that the error would read 0."""
    training = build_training(tmp_path, rows, epochs=3)

    def spoil(engine: Any) -> None:
        if engine.state.epoch == 2:
            with torch.no_grad():
                next(training.network.parameters()).fill_(float("nan"))

    training.trainer.add_event_handler(Events.ITERATION_COMPLETED, spoil)
    with pytest.raises(TrainingDivergedError, match=r"diverged.*no numbers after epoch 2: .*lower the learning rate"):
        training.run()
    assert torch.load(tmp_path / "models" / "last.pt", weights_only=True)["epoch"] == 1
    assert record(tmp_path)["epoch"] == 1


def test_only_the_first_rank_writes(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agezoo.engines.training_checkpoint.torch_rank", lambda: 1)
    monkeypatch.setattr("agezoo.engines.training_figure.torch_rank", lambda: 1)
    training = build_training(tmp_path, rows, epochs=2)
    training.run()
    assert training.checkpoint.best_epoch > 0, "every rank knows the best epoch, in case it resumes"
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "eval").exists()


def test_unknown_choice_of_weights_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keep: no such choice of weights to keep; found: first"):
        build_training(tmp_path, rows, keep="first")


def test_plain_drops_functions_and_turns_numpy_into_python() -> None:
    state = {
        "a": np.float32(0.5),
        "f": print,
        "pair": (1, np.int64(2)),
        "list": [np.arange(2), len],
        "t": torch.ones(1),
    }
    result = plain(state)
    assert result["t"] is state["t"]
    del result["t"]
    assert result == {"a": 0.5, "pair": (1, 2), "list": [[0, 1]]}
    assert type(result["a"]) is float


def test_the_network_inside_a_distributed_wrapper_is_saved() -> None:
    """Its names would otherwise begin with `module.` and load nowhere else."""
    network = nn.Linear(1, 1)

    class Wrapper(nn.parallel.DistributedDataParallel):
        def __init__(self, module: nn.Module) -> None:
            nn.Module.__init__(self)
            self.module = module

    assert bare_network(Wrapper(network)) is network
    assert bare_network(network) is network
