"""What ``agezoo atlas`` refuses before it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from agezoo.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no scans are given"),
        (["scans", "--merge", "part1"], "--merge takes no scans"),
        (["scans", "--shard", "three"], "no such shard"),
        (["scans", "--age-groups", "young,old"], "not a list of ages"),
        (["--merge", "nowhere"], "no atlas there"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["atlas", "wholebody_mr", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_only_bundles_of_whole_bodies_are_taken(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["atlas", "ct_age", "scans", "--out", str(tmp_path)])
