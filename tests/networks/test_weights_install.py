"""Weights from elsewhere: only the released files, whole, become `published`, and a failure changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import socket
import urllib.error
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from weights_server import WeightsServer, serving

from agezoo import registry
from agezoo.cli import main
from agezoo.errors import InputError, WeightsError
from agezoo.networks import published, weights_download, weights_install, weights_place
from agezoo.networks.published import PUBLISHED, PublishedFile, PublishedWeights
from agezoo.networks.weights import describe, ensemble_sha256, find_weights, read_state_dict, save_weights
from agezoo.networks.weights_conversion import bare_state_dict, configured_network, git_blob_id
from agezoo.networks.weights_install import fetch_published, import_weights

WIDTH = {"trunk_width": 2}
QUICK = {"progress": False, "pause_s": 0.0}


class Hostile:
    """Unpickling an instance of this would make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def saved(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def blob(content: bytes) -> str:
    """Git's id, derived here from its definition."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def states() -> list[dict[str, torch.Tensor]]:
    """Five networks of ct_age's layout, as small as it gets."""
    networks = []
    for seed in range(5):
        torch.manual_seed(seed)
        networks.append(configured_network(registry.bundle_root("ct_age"), WIDTH).state_dict())
    return networks


@pytest.fixture
def server(states: list[dict[str, torch.Tensor]]) -> Iterator[WeightsServer]:
    """Serves the five files."""
    with serving() as running:
        running.content = {f"resnet_cv_{fold}.tar": saved(state) for fold, state in enumerate(states)}
        yield running


@pytest.fixture
def released(server: WeightsServer) -> PublishedWeights:
    """ct_age's table with the tiny files in place of the authors'."""
    return released_from(server)


def released_from(server: WeightsServer) -> PublishedWeights:
    files = tuple(
        PublishedFile(name, fold, blob(content)) for fold, (name, content) in enumerate(sorted(server.content.items()))
    )
    return replace(PUBLISHED["ct_age"], base_url=server.url, files=files, settings=WIDTH)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the bundle without weights, whose own network is small and yet wider than the served ones."""
    shutil.copytree(registry.bundle_root("ct_age") / "configs", tmp_path / "ct_age" / "configs")
    (tmp_path / "ct_age" / "models").mkdir()
    config = tmp_path / "ct_age" / "configs" / "train.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "trunk_width": 3}))
    return tmp_path / "ct_age"


@pytest.fixture
def downloaded(server: WeightsServer, tmp_path: Path) -> list[Path]:
    """The five files as a browser leaves them."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name, content in server.content.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def test_git_blob_id_is_gits(tmp_path: Path) -> None:
    """The example of the book Pro Git, section 10.2."""
    (tmp_path / "file").write_text("test content\n")
    assert git_blob_id(tmp_path / "file") == "d670460b4b4aece5915caf5c68d12f560a9fe3e4"


def test_the_table_of_ct_age() -> None:
    table = PUBLISHED["ct_age"]
    assert [file.fold for file in table.files] == [0, 1, 2, 3, 4]
    assert len({file.git_blob for file in table.files}) == 5
    assert all(re.fullmatch("[0-9a-f]{40}", file.git_blob) for file in table.files)
    assert table.url(table.files[3]) == (
        "https://raw.githubusercontent.com/BjarneKerber/age_estimation/main/model/resnet_cv_3.tar"
    )
    assert table.url(table.files[3], "http://mirror/x/") == "http://mirror/x/resnet_cv_3.tar"
    text = table.licence_text()
    assert "Copyright (c) 2023 Bjarne Kerber" in text
    assert "The above copyright notice and this permission notice shall be included" in text
    assert "e0292993" in text
    parameters = configured_network(registry.bundle_root("ct_age"), table.settings).state_dict()
    assert parameters["conv1.weight"].shape == (64, 1, 7, 7)
    assert parameters["fc.weight"].shape == (2, 512)


def test_large_files_list_the_same_files() -> None:
    import yaml

    listed = yaml.safe_load((registry.bundle_root("ct_age") / "large_files.yml").read_text())["large_files"]
    table = PUBLISHED["ct_age"]
    assert [entry["url"] for entry in listed] == [table.url(file) for file in table.files]
    # Where inference looks for weights nothing may appear that was not authenticated.
    assert {str(Path(entry["path"]).parent) for entry in listed} == {"models/downloads"}
    assert not any("hash_val" in entry for entry in listed), "MONAI cannot check git's ids"


def test_monais_own_download_brings_the_files_and_import_recognises_them(
    root: Path, released: PublishedWeights, server: WeightsServer
) -> None:
    import monai.bundle

    listed = (registry.bundle_root("ct_age") / "large_files.yml").read_text()
    (root / "large_files.yml").write_text(listed.replace(PUBLISHED["ct_age"].base_url, server.url))
    monai.bundle.download_large_files(bundle_path=str(root))
    brought = sorted((root / "models" / "downloads").iterdir())
    assert len(brought) == 5
    with pytest.raises(WeightsError, match="no weights are installed"):
        find_weights(root)
    import_weights("ct_age", brought, root=root, released=released)
    assert [file.origin for file in find_weights(root)] == ["published"] * 5


def test_fetch_installs_every_file_with_its_record(
    root: Path, released: PublishedWeights, states: list[dict[str, torch.Tensor]]
) -> None:
    done = fetch_published("ct_age", root=root, released=released, **QUICK)
    folder = root / "models" / "published"
    assert done.folder == folder
    assert [file.path.name for file in done.files] == [f"fold_{fold}.pt" for fold in range(5)]
    for fold, file in enumerate(done.files):
        state = read_state_dict(file.path)
        assert state.keys() == states[fold].keys()
        assert all(torch.equal(state[name], states[fold][name]) for name in state)
        assert file.origin == "published"
        assert dict(file.record) == {
            "origin": "published",
            "bundle": "ct_age",
            "bundle_version": registry.bundle_version(root),
            "fold": fold,
            "source": f"{released.base_url}/resnet_cv_{fold}.tar",
            "git_blob": released.files[fold].git_blob,
            "licence": "MIT",
            "citation": released.citation,
            "overrides": WIDTH,
            "sha256": file.sha256,
        }
    assert (folder / "LICENSE.txt").read_text() == released.licence_text()
    expected = {f"fold_{fold}.{suffix}" for fold in range(5) for suffix in ("pt", "json")} | {"LICENSE.txt"}
    assert snapshot(root / "models").keys() == {f"published/{name}" for name in expected} | {"model.pt", "model.json"}


def test_installed_means_all_fetched_members_and_tools_find_model_pt(root: Path, released: PublishedWeights) -> None:
    fetch_published("ct_age", root=root, released=released, **QUICK)
    installed, published_ones = find_weights(root), find_weights(root, "published")
    assert installed[0].path == root / "models" / "model.pt"
    assert len(installed) == 5
    assert [f.sha256 for f in installed] == [f.sha256 for f in published_ones]
    assert ensemble_sha256(installed) == ensemble_sha256(published_ones)
    assert find_weights(root, root / "models") == installed
    assert find_weights(root, root / "models" / "model.pt") == installed[:1], "a file that is named means itself"
    (root / "models" / "published" / "fold_3.pt").unlink()
    with pytest.raises(WeightsError, match=r"fold_3\.pt: no such weight file"):
        find_weights(root)


def test_without_weights_the_message_names_the_command(root: Path) -> None:
    for spec in (None, "installed", "published"):
        with pytest.raises(WeightsError, match="agezoo weights fetch ct_age"):
            find_weights(root, spec)


@pytest.mark.parametrize("members", ["published/fold_1.pt", ["../elsewhere.pt"], ["/etc/passwd"], [3]])
def test_a_record_cannot_point_out_of_its_folder(
    root: Path, states: list[dict[str, torch.Tensor]], members: Any
) -> None:
    save_weights(states[0], root / "models" / "model.pt", {"origin": "trained", "members": members})
    with pytest.raises(WeightsError, match=r"model\.json: the record of the weights is damaged; found: members"):
        find_weights(root)


def test_fetch_asks_nobody_when_all_is_there(root: Path, released: PublishedWeights, server: WeightsServer) -> None:
    fetch_published("ct_age", root=root, released=released, **QUICK)
    assert len(server.asked) == 5
    again = fetch_published("ct_age", root=root, released=released, **QUICK)
    assert not again.installed
    assert len(again.files) == 5
    assert len(server.asked) == 5
    assert fetch_published("ct_age", root=root, released=released, force=True, **QUICK).installed
    assert len(server.asked) == 10


def test_an_altered_file_is_fetched_again(root: Path, released: PublishedWeights, server: WeightsServer) -> None:
    fetch_published("ct_age", root=root, released=released, **QUICK)
    whole = snapshot(root / "models")
    (root / "models" / "published" / "fold_2.pt").write_bytes(b"altered")
    assert fetch_published("ct_age", root=root, released=released, **QUICK).installed
    assert snapshot(root / "models") == whole


def test_a_mirror_serves_as_well_and_the_record_names_the_authors(
    root: Path, released: PublishedWeights, server: WeightsServer
) -> None:
    authors = replace(released, base_url="http://authors.invalid/model")
    done = fetch_published("ct_age", root=root, released=authors, url=server.url + "/", **QUICK)
    assert done.files[1].record["source"] == "http://authors.invalid/model/resnet_cv_1.tar"


FAULTS = {
    "not there": (404, r"resnet_cv_3\.tar: the file is not there \(any more\) \(HTTP 404\).*--url"),
    "denied": (403, r"the server denies access \(HTTP 403\)"),
    "proxy": (407, r"the proxy wants a login \(HTTP 407\); .*HTTPS_PROXY=http://USER"),
    "broken server": (503, r"the server reports an error \(HTTP 503\).*try again later"),
    "cut": ("cut", r"the transfer was cut: \d+ of \d+ bytes arrived; what to do: run the same command again"),
    "reset": ("reset", r"the connection broke \(RemoteDisconnected\)"),
    "silent": ("silent", r"does not answer \(timeout\)"),
}


@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "installed before"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_transfer_changes_nothing(
    root: Path, released: PublishedWeights, server: WeightsServer, fault: str, before: bool
) -> None:
    if before:
        fetch_published("ct_age", root=root, released=released, **QUICK)
    state = snapshot(root)
    server.faults["resnet_cv_3.tar"], message = FAULTS[fault]
    with pytest.raises(WeightsError, match=message) as caught:
        fetch_published("ct_age", root=root, released=released, force=True, timeout_s=0.2, **QUICK)
    assert "agezoo weights import ct_age FILE..." in str(caught.value), "there is another way"
    assert snapshot(root) == state


def test_a_transfer_that_breaks_once_is_tried_again(
    root: Path, released: PublishedWeights, server: WeightsServer
) -> None:
    server.faults["resnet_cv_1.tar"] = "cut once"
    assert fetch_published("ct_age", root=root, released=released, **QUICK).installed
    assert server.asked.count("resnet_cv_1.tar") == 2


@pytest.mark.parametrize("case", ["hostile", "another layout", "not finite", "a page"])
@pytest.mark.parametrize(
    "recognised", [False, True], ids=["not the released file", "even if it were the released file"]
)
def test_wrong_content_changes_nothing_and_never_runs(
    root: Path,
    released: PublishedWeights,
    server: WeightsServer,
    states: list[dict[str, torch.Tensor]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    recognised: bool,
) -> None:
    fetch_published("ct_age", root=root, released=released, **QUICK)
    state = snapshot(root)
    marker = tmp_path / "marker"
    nan = {**states[3], "fc.bias": torch.tensor([float("nan"), 0.0])}
    content, message = {
        "hostile": (saved({**states[3], "fc.bias": Hostile(marker)}), "cannot be opened safely"),
        "another layout": (
            saved({name: tensor for name, tensor in states[3].items() if name != "fc.bias"}),
            "another network layout; found: 1 tensors missing",
        ),
        "not finite": (saved(nan), "hold NaN or infinity"),
        "a page": (b"<html>Please log in</html>", "cannot be opened safely"),
    }[case]
    server.content["resnet_cv_3.tar"] = content
    if recognised:
        released = released_from(server)
    else:
        message = rf"not the released resnet_cv_3\.tar; it was not opened; found: git blob {blob(content)}"
        opened: list[Path] = []
        open_safely = weights_install.open_safely
        monkeypatch.setattr(weights_install, "open_safely", lambda path: (opened.append(path), open_safely(path))[1])
    with pytest.raises(WeightsError, match=message):
        fetch_published("ct_age", root=root, released=released, force=True, **QUICK)
    assert not marker.exists()
    assert snapshot(root) == state
    if not recognised:
        assert [path.name for path in opened] == [f"resnet_cv_{fold}.tar" for fold in range(3)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            urllib.error.URLError(socket.gaierror(-2, "unknown")),
            "name cannot be found: is there a network.*HTTPS_PROXY",
        ),
        (urllib.error.URLError(ConnectionRefusedError()), "refuses the connection.*HTTPS_PROXY"),
        (urllib.error.URLError(OSError(101, "Network is unreachable")), "cannot be reached .*unreachable"),
        (OSError(28, "No space left on device"), "the disk is full.*--out"),
    ],
    ids=["no name", "refused", "no network", "disk full"],
)
def test_what_the_network_or_the_disk_refuses_is_said_in_words(
    root: Path, released: PublishedWeights, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(weights_download.urllib.request, "urlopen", refuse)
    with pytest.raises(WeightsError, match=message):
        fetch_published("ct_age", root=root, released=released, **QUICK)
    assert list((root / "models").iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://host/model", "model", "file:///etc"])
def test_only_web_addresses_are_fetched(root: Path, released: PublishedWeights, url: str) -> None:
    with pytest.raises(InputError, match="not a web address"):
        fetch_published("ct_age", root=root, released=released, url=url, **QUICK)


def test_an_endless_file_is_stopped(server: WeightsServer, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="implausibly large"):
        weights_download.download(f"{server.url}/resnet_cv_0.tar", tmp_path / "x", largest_bytes=1000, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["save_weights", "copyfile"])
def test_a_full_disk_at_any_step_changes_nothing(
    root: Path, released: PublishedWeights, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fetch_published("ct_age", root=root, released=released, **QUICK)
    state = snapshot(root)
    calls: list[int] = []
    real = save_weights

    def full(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if step == "copyfile" or len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    if step == "save_weights":
        monkeypatch.setattr(weights_install, "save_weights", full)
    else:
        monkeypatch.setattr(weights_place.shutil, "copyfile", full)
    with pytest.raises(WeightsError, match="the disk is full; what to do: make room, or choose another folder"):
        fetch_published("ct_age", root=root, released=released, force=True, **QUICK)
    assert calls
    assert snapshot(root) == state


def test_own_model_stays_the_first_choice(
    root: Path, released: PublishedWeights, states: list[dict[str, torch.Tensor]]
) -> None:
    own = save_weights(states[0], root / "models" / "model.pt", {"origin": "trained"})
    done = fetch_published("ct_age", root=root, released=released, **QUICK)
    assert done.kept == own.path
    assert done.model is None
    assert find_weights(root) == [own]
    assert len(find_weights(root, "published")) == 5


def test_a_phantom_model_gives_way_to_real_ones(
    root: Path, released: PublishedWeights, states: list[dict[str, torch.Tensor]]
) -> None:
    save_weights(states[0], root / "models" / "model.pt", {"origin": "phantom"})
    fetch_published("ct_age", root=root, released=released, **QUICK)
    assert {file.origin for file in find_weights(root)} == {"published"}


def test_import_in_any_order_and_under_any_name_is_the_same_as_fetching(
    root: Path, released: PublishedWeights, downloaded: list[Path], tmp_path: Path
) -> None:
    fetch_published("ct_age", root=root, released=released, out=tmp_path / "fetched", **QUICK)
    given = [path.rename(path.with_name(f"{index}.bin")) for index, path in enumerate(reversed(downloaded))]
    done = import_weights("ct_age", given, root=root, released=released, out=tmp_path / "imported")
    assert [file.origin for file in done.files] == ["published"] * 5
    assert snapshot(tmp_path / "imported") == snapshot(tmp_path / "fetched")
    assert all(path.is_file() for path in given), "the user's files stay"
    assert list((root / "models").iterdir()) == [], "--out leaves the bundle alone"


def test_import_wants_all_released_files(root: Path, released: PublishedWeights, downloaded: list[Path]) -> None:
    with pytest.raises(
        WeightsError, match=r"all together.*found: 3 of them; expected: also resnet_cv_0\.tar, resnet_cv_4"
    ):
        import_weights("ct_age", downloaded[1:4], root=root, released=released)
    own = downloaded[0].with_name("own.pt")
    torch.save({}, own)
    with pytest.raises(WeightsError, match=r"5 of them, and own\.pt, which is none"):
        import_weights("ct_age", [*downloaded, own], root=root, released=released)
    with pytest.raises(WeightsError, match="the same weights are given twice"):
        import_weights("ct_age", [*downloaded, downloaded[2]], root=root, released=released)
    assert list((root / "models").iterdir()) == []


def test_a_damaged_download_does_not_come_in_as_own_weights(
    root: Path, released: PublishedWeights, downloaded: list[Path], states: list[dict[str, torch.Tensor]]
) -> None:
    torch.save({**states[2], "fc.bias": torch.tensor([1.0, 2.0])}, downloaded[2])
    with pytest.raises(WeightsError, match=r"resnet_cv_2\.tar: the file is called like a released one and is another"):
        import_weights("ct_age", [downloaded[2]], root=root, released=released)
    assert list((root / "models").iterdir()) == []


@pytest.mark.parametrize("form", ["bare", "nested", "module", "nested module"])
def test_own_weights_come_in_whatever_wraps_them(
    root: Path, tmp_path: Path, states: list[dict[str, torch.Tensor]], form: str
) -> None:
    state = configured_network(root, {}).state_dict()
    given = {f"module.{name}": tensor for name, tensor in state.items()} if "module" in form else state
    path = tmp_path / "own.pth"
    torch.save({"state_dict": given, "epoch": 3} if "nested" in form else given, path)
    done = import_weights("ct_age", [path], root=root)
    assert done.model == root / "models" / "model.pt"
    (installed,) = find_weights(root)
    assert installed.origin == "imported"
    assert installed.record["source"] == "own.pth", "the name without its folder"
    assert str(tmp_path) not in done.files[0].path.with_suffix(".json").read_text()
    found = read_state_dict(installed.path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_name_that_only_some_tensors_carry_is_kept(tmp_path: Path) -> None:
    content = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert bare_state_dict(content, tmp_path).keys() == content.keys()


def test_own_weights_keep_what_their_record_says(
    root: Path, tmp_path: Path, states: list[dict[str, torch.Tensor]]
) -> None:
    folds = []
    for fold in (0, 1):
        record = {"origin": "phantom", "fold": fold, "overrides": WIDTH, "members": ["x.pt"]}
        folds.append(save_weights(states[fold], tmp_path / f"fold_{fold}" / "model.pt", record))
    import_weights("ct_age", [file.path for file in folds], root=root)
    installed = find_weights(root)
    assert [(f.origin, f.record["fold"], f.record["overrides"]) for f in installed] == [
        ("phantom", 0, WIDTH),
        ("phantom", 1, WIDTH),
    ]
    # A later import replaces the earlier one.
    save_weights(states[4], tmp_path / "other.pt", {"origin": "trained", "overrides": WIDTH})
    import_weights("ct_age", [tmp_path / "other.pt"], root=root)
    assert [f.origin for f in find_weights(root)] == ["trained"]
    import_weights("ct_age", [folds[0].path], root=root)
    assert [f.origin for f in find_weights(root)] == ["phantom"], (
        "what an import put there is no training of the user's"
    )


def test_own_weights_of_another_layout_or_with_a_false_record_are_refused(
    root: Path, tmp_path: Path, states: list[dict[str, torch.Tensor]]
) -> None:
    path, marker = tmp_path / "own.pt", tmp_path / "marker"
    torch.save(states[0], path)
    with pytest.raises(WeightsError, match=r"own\.pt: the weights belong to another network layout"):
        import_weights("ct_age", [path], root=root)
    save_weights(states[0], path, {"origin": "trained", "overrides": {"trunk_width": f"$open({str(marker)!r}, 'w')"}})
    with pytest.raises(WeightsError, match="setting 'trunk_width' in the record of the weights is not a number"):
        import_weights("ct_age", [path], root=root)
    save_weights(states[0], path, {"origin": "trained", "overrides": {"no_such": 1}})
    with pytest.raises(WeightsError, match="a setting that the bundle lacks; found: no_such"):
        import_weights("ct_age", [path], root=root)
    save_weights(states[0], path, {"origin": "trained", "overrides": WIDTH})
    path.write_bytes(saved(states[1]))
    with pytest.raises(WeightsError, match="not those that were recorded"):
        import_weights("ct_age", [path], root=root)
    path.with_suffix(".json").unlink()
    torch.save(Hostile(marker), path)
    with pytest.raises(WeightsError, match="cannot be opened safely"):
        import_weights("ct_age", [path], root=root)
    with pytest.raises(WeightsError, match=r"absent\.pt: no such weight file"):
        import_weights("ct_age", [tmp_path / "absent.pt"], root=root)
    assert not marker.exists()
    assert list((root / "models").iterdir()) == []


def test_a_folder_with_other_things_is_not_replaced(
    root: Path, released: PublishedWeights, server: WeightsServer, tmp_path: Path
) -> None:
    (tmp_path / "crossval").mkdir()
    (tmp_path / "crossval" / "model.pt").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"crossval: other things are in the folder.*found: model\.pt"):
        fetch_published("ct_age", root=root, released=released, out=tmp_path / "crossval", **QUICK)
    assert (tmp_path / "crossval" / "model.pt").read_bytes() == b"precious"
    assert server.asked == []


def test_no_published_weights_for_other_bundles() -> None:
    with pytest.raises(WeightsError, match="no published weights are known for this bundle; found: spine_age"):
        fetch_published("spine_age")


@pytest.fixture
def command_line(root: Path, released: PublishedWeights, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command works on the copy of the bundle and the local server."""
    for module in (registry, weights_place):
        monkeypatch.setattr(module, "bundle_root", lambda _: root)
    monkeypatch.setitem(published.PUBLISHED, "ct_age", released)
    return root


def test_command_line_fetches_lists_and_verifies(command_line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify", "ct_age"]) == 1
    assert "no weights there" in capsys.readouterr().err
    assert main(["weights", "list", "ct_age"]) == 0
    before = capsys.readouterr().out
    assert "nothing is installed" in before
    assert "agezoo weights fetch ct_age" in before

    assert main(["weights", "fetch", "ct_age"]) == 0
    told = capsys.readouterr().out
    assert "installed 5 published weight files" in told
    assert "licence: MIT" in told
    assert main(["weights", "fetch", "ct_age"]) == 0
    assert "already installed" in capsys.readouterr().out

    assert main(["weights", "list", "ct_age"]) == 0
    listed = capsys.readouterr().out
    file = describe(command_line / "models" / "published" / "fold_2.pt")
    (line,) = [line for line in listed.splitlines() if "published/fold_2.pt" in line]
    assert line.split()[1:5] == ["published", file.sha256[:12], "fold", "2"]
    assert "fold_4.pt (origin published)" in listed

    assert main(["weights", "verify", "ct_age"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()] == ["ok"] * 6


def test_verify_tells_which_file_is_not_what_was_installed(
    command_line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["weights", "fetch", "ct_age"])
    folder = command_line / "models" / "published"
    altered = folder / "fold_1.pt"
    altered.write_bytes(altered.read_bytes() + b"x")
    (folder / "fold_2.json").unlink()
    (folder / "fold_3.pt").unlink()
    capsys.readouterr()
    assert main(["weights", "verify", "ct_age"]) == 1
    rows = {Path(row[10:]).name: row[:10].strip() for row in capsys.readouterr().out.splitlines()}
    assert rows == {
        "model.pt": "ok",
        "fold_0.pt": "ok",
        "fold_1.pt": "altered",
        "fold_2.pt": "no record",
        "fold_3.pt": "missing",
        "fold_4.pt": "ok",
    }
    assert main(["weights", "verify", "ct_age", str(folder / "fold_0.pt")]) == 0
    assert main(["weights", "verify", "ct_age", str(folder / "fold_9.pt")]) == 1
    assert main(["weights", "list", "ct_age"]) == 0, "listing shows damage and does not stop at it"
    assert "asked by default: none" in capsys.readouterr().out


def test_command_line_imports(
    command_line: Path, downloaded: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", "ct_age", str(downloaded[0])]) == 1
    assert "all together or not at all" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main(["weights", "import", "ct_age", *map(str, downloaded), "--out", str(out)]) == 0
    assert f"ask for them with --weights {out}" in capsys.readouterr().out
    record = json.loads((out / "fold_0.json").read_text())
    assert record["origin"] == "published"
