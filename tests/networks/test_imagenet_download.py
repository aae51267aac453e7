"""Fetching the ImageNet start: the file that MONAI names, whole and authenticated, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from weights_server import WeightsServer, serving

from agezoo.cli import main
from agezoo.errors import InputError, WeightsError
from agezoo.networks import imagenet_download
from agezoo.networks.hub_file import HubFile, fetch_hub_file
from agezoo.networks.imagenet_download import imagenet_file

CONTENT = b"stands for eighty megabytes" * 1000
NAME = f"efficientnet-b4-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
QUICK = {"progress": False, "pause_s": 0.0}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[WeightsServer]:
    with serving() as running:
        running.content = {NAME: CONTENT}
        yield running


@pytest.fixture
def file(server: WeightsServer) -> HubFile:
    return HubFile.at(f"{server.url}/{NAME}")


def test_spine_age_starts_from_the_b4_file_that_monai_names() -> None:
    named = imagenet_file("spine_age")
    assert named.url.startswith("https://github.com/")
    assert named.name == "efficientnet-b4-6ed6700e.pth"
    assert named.sha256_start == "6ed6700e"


def test_a_bundle_without_an_efficientnet_is_refused() -> None:
    with pytest.raises(WeightsError, match="no ImageNet weights can be fetched for this bundle; found: ct_age"):
        imagenet_file("ct_age")


@pytest.mark.parametrize("url", ["https://x/resnet18.pth", "https://x/net-12345.pth", "https://x/net-notahash.pth"])
def test_a_name_without_a_checksum_is_no_file_of_the_hub(url: str) -> None:
    with pytest.raises(ValueError, match="the name holds no checksum"):
        HubFile.at(url)


def test_fetched_whole_to_the_named_file(file: HubFile, tmp_path: Path) -> None:
    out = tmp_path / "new" / "start.pth"
    assert fetch_hub_file(file, out, **QUICK) == (out, True)
    assert out.read_bytes() == CONTENT
    assert [path.name for path in out.parent.iterdir()] == ["start.pth"]


def test_a_folder_gets_it_under_its_own_name_and_a_second_time_nobody_is_asked(
    file: HubFile, server: WeightsServer, tmp_path: Path
) -> None:
    assert fetch_hub_file(file, tmp_path, **QUICK) == (tmp_path / NAME, True)
    assert fetch_hub_file(file, tmp_path, **QUICK) == (tmp_path / NAME, False)
    assert server.asked == [NAME]


def test_a_mirror_serves_as_well(server: WeightsServer, tmp_path: Path) -> None:
    elsewhere = HubFile.at(f"http://monai.invalid/{NAME}")
    assert fetch_hub_file(elsewhere, tmp_path / "a.pth", url=server.url + "/", **QUICK)[1]
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_what_else_lies_there_is_not_overwritten(file: HubFile, server: WeightsServer, tmp_path: Path) -> None:
    out = tmp_path / "mine.pth"
    out.write_bytes(b"my own weights")
    with pytest.raises(InputError, match=r"mine\.pth: another file is there, which is not overwritten"):
        fetch_hub_file(file, out, **QUICK)
    assert out.read_bytes() == b"my own weights"
    assert server.asked == []


def test_another_content_is_not_kept(file: HubFile, server: WeightsServer, tmp_path: Path) -> None:
    server.content[NAME] = b"<html>please log in</html>"
    with pytest.raises(
        WeightsError, match=r"not the file that MONAI names; it was not kept; found: sha256 \w{64}, 26 b"
    ):
        fetch_hub_file(file, tmp_path / "start.pth", **QUICK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (404, r"the file is not there \(any more\) \(HTTP 404\).*--url.*or download http.* with a browser"),
        ("cut", r"the transfer was cut: 13500 of 27000 bytes arrived"),
    ],
)
def test_a_failed_transfer_leaves_nothing(
    file: HubFile, server: WeightsServer, tmp_path: Path, fault: int | str, message: str
) -> None:
    server.faults[NAME] = fault
    with pytest.raises(WeightsError, match=message):
        fetch_hub_file(file, tmp_path / "start.pth", **QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_transfer_that_is_cut_once_is_tried_again(file: HubFile, server: WeightsServer, tmp_path: Path) -> None:
    server.faults[NAME] = "cut once"
    assert fetch_hub_file(file, tmp_path / "start.pth", **QUICK)[1]
    assert server.asked == [NAME, NAME]


def test_a_folder_that_cannot_be_made_is_explained(file: HubFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError, match=r"the weights cannot be read or written.*--out"):
        fetch_hub_file(file, tmp_path / "file" / "start.pth", **QUICK)


def test_the_command_says_how_a_training_starts_from_the_file(
    file: HubFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(imagenet_download, "imagenet_file", lambda bundle: file)
    out = tmp_path / "b4.pth"
    assert main(["weights", "imagenet", "spine_age", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == [f"fetched and checked: {out}", f"start a training from it with --pretrained {out}"]
    assert main(["weights", "imagenet", "spine_age", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"already there and unaltered: {out}\n")
