"""Fetching the Kinetics start: the file that torchvision names, for the bundle whose network it fits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from weights_server import serving

from agezoo.cli import main
from agezoo.errors import WeightsError
from agezoo.networks import kinetics
from agezoo.networks.hub_file import HubFile, fetch_hub_file
from agezoo.networks.kinetics import kinetics_file

CONTENT = b"stands for 127 megabytes" * 1000
NAME = f"r3d_18-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubFile]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.content = {NAME: CONTENT}
        yield HubFile.at(f"{server.url}/{NAME}", named_by="torchvision")


def test_wholebody_mr_starts_from_the_file_that_torchvision_names() -> None:
    named = kinetics_file("wholebody_mr")
    assert named.url == "https://download.pytorch.org/models/r3d_18-b3b3357e.pth"
    assert (named.name, named.sha256_start, named.named_by) == ("r3d_18-b3b3357e.pth", "b3b3357e", "torchvision")


@pytest.mark.parametrize("bundle", ["ct_age", "spine_age", "brain_tsan"])
def test_a_bundle_with_another_network_is_refused(bundle: str) -> None:
    with pytest.raises(WeightsError, match=f"no Kinetics weights can be fetched for this bundle; found: {bundle}"):
        kinetics_file(bundle)


def test_the_command_says_how_a_training_starts_from_the_file(
    file: HubFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kinetics, "kinetics_file", lambda bundle: file)
    assert main(["weights", "kinetics", "wholebody_mr", "--out", str(tmp_path)]) == 0
    path = tmp_path / NAME
    said = capsys.readouterr().out
    assert said.splitlines() == [f"fetched and checked: {path}", f"start a training from it with --pretrained {path}"]
    assert path.read_bytes() == CONTENT


def test_the_command_takes_a_mirror(
    file: HubFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = HubFile.at(f"http://torchvision.invalid/{NAME}", named_by="torchvision")
    monkeypatch.setattr(kinetics, "kinetics_file", lambda bundle: elsewhere)
    mirror = file.url.rsplit("/", 1)[0]
    assert main(["weights", "kinetics", "wholebody_mr", "--out", str(tmp_path / "a.pth"), "--url", mirror]) == 0
    assert (tmp_path / "a.pth").read_bytes() == CONTENT


def test_another_content_is_not_kept(file: HubFile, tmp_path: Path) -> None:
    other = HubFile(file.url, file.name, "00000000", file.named_by)
    with pytest.raises(WeightsError, match="not the file that torchvision names; it was not kept"):
        fetch_hub_file(other, tmp_path / "start.pth", progress=False, pause_s=0.0)
    assert list(tmp_path.iterdir()) == []
