"""Weight files: only the right ones, whole and unaltered, ever reach a network, and none runs code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from agezoo.errors import WeightsError
from agezoo.networks import AgeEnsemble, find_weights, load_ensemble, load_strictly
from agezoo.networks import weights as weights_module
from agezoo.networks.weights import (
    WeightsFile,
    describe,
    ensemble_origin,
    ensemble_sha256,
    file_sha256,
    read_state_dict,
    recorded_number,
    recorded_settings,
    save_weights,
)


def tiny_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., WeightsFile]:
    """Write a tiny network's weights and their record under a relative name."""

    def write(name: str, *, seed: int = 0, **record: Any) -> WeightsFile:
        return save_weights(tiny_network(seed).state_dict(), tmp_path / name, {"origin": "trained", **record})

    return write


class Hostile:
    """Unpickling an instance of this would run a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["torch", "bare pickle", "inside a state dict"])
def test_a_file_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    path, marker = tmp_path / "model.pt", tmp_path / "marker"
    if form == "torch":
        torch.save(Hostile(marker), path)
    elif form == "bare pickle":
        path.write_bytes(pickle.dumps(Hostile(marker), protocol=2))
    else:
        torch.save({**tiny_network().state_dict(), "2.bias": Hostile(marker)}, path)
    with pytest.raises(WeightsError, match="cannot be opened safely") as caught:
        load_strictly(tiny_network(), path)
    assert not marker.exists()
    assert "posix.system" in str(caught.value)
    assert "will likely succeed" not in str(caught.value), "torch's advice to switch its protection off"
    # The trap does go off where nothing guards against it, so the two facts above mean something.
    if form == "bare pickle":
        pickle.loads(path.read_bytes())
        assert marker.exists()


@pytest.mark.parametrize("keep", [0, 1, 100, -50])
def test_truncated_file_is_refused(install: Callable[..., WeightsFile], keep: int) -> None:
    path = install("model.pt").path
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"model\.pt: the weights cannot be opened safely; found: \S+"):
        read_state_dict(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt: no such weight file"):
        read_state_dict(tmp_path / "absent.pt")
    with pytest.raises(WeightsError, match=r"absent\.pt: no such weight file"):
        describe(tmp_path / "absent.pt")


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {"weight": torch.ones(2)}, "epoch": 3},
        {},
        torch.ones(3),
        [torch.ones(3)],
        {0: torch.ones(3)},
        {"weight": 1.0},
    ],
    ids=["nested checkpoint", "empty", "tensor", "list", "numbered", "number"],
)
def test_anything_but_a_bare_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    """MONAI would load a nested checkpoint as nothing at all and go on with random weights."""
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match="something else than a bare state dict"):
        load_strictly(tiny_network(), tmp_path / "model.pt")


def test_nested_checkpoint_is_told_by_its_keys(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2)}, "epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"found: dict with keys \['state_dict', 'epoch'\]"):
        read_state_dict(tmp_path / "model.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    state = tiny_network().state_dict()
    state["1.running_var"][2] = value
    torch.save(state, tmp_path / "model.pt")
    network = tiny_network(seed=1)
    with pytest.raises(WeightsError, match="hold NaN or infinity"):
        load_strictly(network, tmp_path / "model.pt")
    assert torch.isfinite(network[1].running_var).all(), "the network is left as it was"


def test_another_layout_is_refused_and_the_network_left_as_it_was(tmp_path: Path) -> None:
    state = tiny_network().state_dict()
    del state["1.running_mean"]
    state["2.weight"] = torch.zeros(2, 5)
    state["3.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "model.pt")
    network = tiny_network(seed=1)
    before = network[0].weight.clone()
    message = (
        r"another network layout; found: 1 tensors missing, 1 unknown, 1 of another shape, e\.g\. 2\.weight: \(2, 5\)"
    )
    with pytest.raises(WeightsError, match=message):
        load_strictly(network, tmp_path / "model.pt")
    assert torch.equal(network[0].weight, before)


def test_strict_loading_takes_every_tensor(install: Callable[..., WeightsFile]) -> None:
    network = load_strictly(tiny_network(seed=1), install("model.pt").path)
    wanted = tiny_network().state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())


def test_saved_weights_are_bare_and_their_record_holds_the_checksum(tmp_path: Path) -> None:
    written = save_weights(tiny_network().state_dict(), tmp_path / "new" / "model.pt", {"origin": "phantom", "fold": 2})
    assert set(torch.load(written.path, weights_only=True)) == set(tiny_network().state_dict())
    record = json.loads((tmp_path / "new" / "model.json").read_text())
    sha256 = hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert record == {"origin": "phantom", "fold": 2, "sha256": sha256}
    assert describe(written.path) == written
    assert (written.sha256, written.origin) == (sha256, "phantom")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["model.json", "model.pt"], "nothing left behind"


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """Also under another name, from a network that computes gradients, and from a view of a larger tensor."""
    one = save_weights(tiny_network().state_dict(), tmp_path / "a.pt", {"origin": "trained"})
    state = {name: p.detach() for name, p in tiny_network().state_dict(keep_vars=True).items()}
    state["0.weight"] = torch.cat([state["0.weight"], torch.ones(100, 3)])[:4].requires_grad_()
    two = save_weights(state, tmp_path / "deeper" / "another_name.pt", {"origin": "published"})
    assert one.path.read_bytes() == two.path.read_bytes()
    assert save_weights(tiny_network(seed=1).state_dict(), tmp_path / "c.pt", {}).sha256 != one.sha256


@pytest.mark.parametrize("fails", ["torch.save", "json.dumps"])
def test_a_crash_while_saving_leaves_the_old_weights(
    install: Callable[..., WeightsFile], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    old = install("model.pt")

    def crash(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    module, function = fails.split(".")
    monkeypatch.setattr(getattr(weights_module, module), function, crash)
    with pytest.raises(OSError, match="disk full"):
        install("model.pt", seed=1)
    monkeypatch.undo()
    assert describe(old.path) == old


def test_altered_file_is_refused_with_both_checksums(install: Callable[..., WeightsFile]) -> None:
    written = install("model.pt")
    with zipfile.ZipFile(written.path, "a") as archive:
        archive.writestr("archive/extra", b"x")
    assert read_state_dict(written.path), "the file still loads; only its checksum tells"
    with pytest.raises(WeightsError, match="not those that were recorded") as caught:
        describe(written.path)
    assert written.sha256[:16] in str(caught.value)
    assert file_sha256(written.path)[:16] in str(caught.value)


@pytest.mark.parametrize("record", ["", "[]", '{"origin": "trained"}', '{"sha256": "00"}', "\x80"])
def test_damaged_record_is_refused(install: Callable[..., WeightsFile], record: str) -> None:
    path = install("model.pt").path
    path.with_suffix(".json").write_bytes(record.encode("latin-1"))
    with pytest.raises(WeightsError, match=r"model\.json: the record of the weights is damaged"):
        describe(path)


def test_weights_without_a_record_are_unrecorded(install: Callable[..., WeightsFile]) -> None:
    written = install("model.pt")
    written.path.with_suffix(".json").unlink()
    assert describe(written.path) == WeightsFile(written.path, written.sha256, "unrecorded")


def test_installed_means_model_then_published_and_never_phantom(
    tmp_path: Path, install: Callable[..., WeightsFile]
) -> None:
    install("models/phantom/model.pt", origin="phantom")
    for spec in (None, "installed"):
        with pytest.raises(WeightsError, match=r"models: no weights are installed.*--weights PATH.*--weights phantom"):
            find_weights(tmp_path, spec)
    published = [install(f"models/published/{name}.pt", seed=i) for i, name in enumerate("ba")]
    assert [w.path for w in find_weights(tmp_path)] == [published[1].path, published[0].path]
    own = install("models/model.pt")
    for spec in (None, "installed"):
        assert find_weights(tmp_path, spec) == [own]
    assert [w.origin for w in find_weights(tmp_path, "phantom")] == ["phantom"]


def test_a_folder_means_folds_then_model_then_every_file(tmp_path: Path, install: Callable[..., WeightsFile]) -> None:
    single = [install(f"run/{name}.pt", seed=i) for i, name in enumerate(("one", "two"))]
    assert find_weights(tmp_path, tmp_path / "run") == single
    model = install("run/model.pt", seed=2)
    assert find_weights(tmp_path, str(tmp_path / "run")) == [model]
    folds = [install(f"run/fold_{i}/model.pt", seed=i) for i in (0, 1)]
    assert find_weights(tmp_path, tmp_path / "run") == folds


def test_a_file_or_a_list_means_these_in_order(tmp_path: Path, install: Callable[..., WeightsFile]) -> None:
    one, two = install("b.pt"), install("a.pt", seed=1)
    assert find_weights(tmp_path, one.path) == [one]
    assert find_weights(tmp_path, [str(one.path), two.path]) == [one, two]


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    torch.save({"identity": {}}, tmp_path / "run" / "last.pt")
    for folder in ("run", "absent"):
        with pytest.raises(WeightsError, match=rf"{folder}: no weights there; expected: .*fold_\*/model\.pt"):
            find_weights(tmp_path, tmp_path / folder)


def test_every_way_to_weights_checks_the_record(tmp_path: Path, install: Callable[..., WeightsFile]) -> None:
    path = install("models/model.pt").path
    record = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**record, "sha256": "0" * 64}))
    for spec in (None, path, [path], path.parent):
        with pytest.raises(WeightsError, match="not those that were recorded"):
            find_weights(tmp_path, spec)


def test_a_model_that_is_found_brings_the_members_that_its_record_lists(
    tmp_path: Path, install: Callable[..., WeightsFile]
) -> None:
    """A model.pt may stand for an ensemble; a file that the user names is asked alone."""
    others = [install(f"models/published/fold_{i}.pt", seed=i) for i in (1, 2)]
    model = install("models/model.pt", members=["published/fold_1.pt", "published/fold_2.pt"])
    assert find_weights(tmp_path) == find_weights(tmp_path, model.path.parent) == [model, *others]
    assert find_weights(tmp_path, model.path) == [model]
    others[0].path.write_bytes(b"altered")
    with pytest.raises(WeightsError, match=r"fold_1\.pt: the weights are not those that were recorded"):
        find_weights(tmp_path)
    others[0].path.unlink()
    with pytest.raises(WeightsError, match=r"fold_1\.pt: no such weight file"):
        find_weights(tmp_path)


@pytest.mark.parametrize("members", [["../outside.pt"], ["/outside.pt"], "published/fold_1.pt", [1]])
def test_members_outside_the_folder_of_their_record_are_refused(
    tmp_path: Path, install: Callable[..., WeightsFile], members: Any
) -> None:
    install("outside.pt")
    install("models/model.pt", members=members)
    with pytest.raises(WeightsError, match=r"model\.json: the record of the weights is damaged"):
        find_weights(tmp_path)


def test_settings_of_a_record_are_numbers_and_never_code(install: Callable[..., WeightsFile]) -> None:
    assert recorded_settings(install("a.pt", overrides={"trunk_width": 16})) == {"trunk_width": 16}
    assert recorded_settings(install("b.pt")) == {}
    assert recorded_settings(install("r.pt", overrides={"regions": [4, 7]})) == {"regions": [4, 7]}
    for value in ("$__import__('os').system('true')", "@network", ["@network"], [[16]], None):
        with pytest.raises(WeightsError, match=r"c\.json: setting 'trunk_width' .* is not a number"):
            recorded_settings(install("c.pt", overrides={"trunk_width": value}))


def test_a_list_is_no_number_where_a_record_needs_one(install: Callable[..., WeightsFile]) -> None:
    assert recorded_number(install("a.pt", overrides={"spacing_mm": 3}), "spacing_mm", 2.0) == 3.0
    assert recorded_number(install("b.pt"), "spacing_mm", 2.0) == 2.0
    with pytest.raises(WeightsError, match=r"c\.json: setting 'spacing_mm' .* is a list.*\[3\]"):
        recorded_number(install("c.pt", overrides={"spacing_mm": [3]}), "spacing_mm", 2.0)


def test_checksum_and_origin_of_an_ensemble() -> None:
    files = [WeightsFile(Path("a"), "aa", "trained"), WeightsFile(Path("b"), "bb", "published")]
    assert ensemble_sha256(files[:1]) == "aa"
    assert ensemble_sha256(files) == hashlib.sha256(b"aa\nbb").hexdigest()
    assert ensemble_sha256(files[::-1]) != ensemble_sha256(files)
    assert ensemble_origin(files[:1]) == "trained"
    assert ensemble_origin(files) == "published+trained"
    assert ensemble_origin([*files, WeightsFile(Path("c"), "cc", "phantom")]) == "phantom", "never hidden in a mixture"


def test_ensemble_of_files_asks_each_member_in_order(install: Callable[..., WeightsFile]) -> None:
    files = [install(f"{seed}.pt", seed=seed) for seed in (0, 1, 2)]
    template = tiny_network(seed=7)
    before = template[0].weight.clone()
    ensemble = load_ensemble(template, files)
    image = torch.linspace(-1, 1, 12).reshape(4, 3)
    output = ensemble(image)
    assert output.shape == (4, 3, 2)
    for member, seed in enumerate((0, 1, 2)):
        assert torch.equal(output[:, member], tiny_network(seed).eval()(image))
    assert torch.equal(template[0].weight, before), "the template is copied"
    assert not any(module.training for module in ensemble.modules())


def test_an_ensemble_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        AgeEnsemble([])


def test_one_member_and_any_shape_of_image() -> None:
    ensemble = AgeEnsemble([nn.Sequential(nn.Flatten(), nn.Linear(8, 2))])
    assert ensemble(torch.zeros(5, 1, 2, 2, 2)).shape == (5, 1, 2)
    assert np.isfinite(ensemble(torch.ones(1, 1, 8)).detach().numpy()).all()
