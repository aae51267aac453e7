"""A folder is replaced as a whole, or stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from agezoo.data.atomic_folder import folder_written_atomically


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder that holds one file."""
    folder = tmp_path / "place" / "target"
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_folder_takes_the_place_with_all_it_holds_and_nothing_else_stays(target: Path) -> None:
    with folder_written_atomically(target) as fresh:
        (fresh / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(target) == ["new.txt"]
    assert names(target.parent) == ["target"]


def test_a_place_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    with folder_written_atomically(tmp_path / "a" / "b") as fresh:
        (fresh / "new.txt").write_text("new")
    assert names(tmp_path / "a" / "b") == ["new.txt"]
    ordinary = tmp_path / "ordinary"
    ordinary.mkdir()
    assert (tmp_path / "a" / "b").stat().st_mode == ordinary.stat().st_mode, "not for its owner alone"


@pytest.mark.parametrize("error", [OSError(28, "disk full"), KeyboardInterrupt()])
def test_an_interrupted_block_leaves_the_old_folder_and_no_trace(target: Path, error: BaseException) -> None:
    def interrupted() -> None:
        with folder_written_atomically(target) as fresh:
            (fresh / "new.txt").write_text("new")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert (target / "old.txt").read_text() == "old"
    assert names(target.parent) == ["target"]


def test_a_failed_last_rename_puts_the_old_folder_back(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def refuse(path: Path, new: Path) -> Path:
        if path.name.startswith(".target-"):
            raise PermissionError("refused")
        return rename(path, new)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError, match="refused"), folder_written_atomically(target):
        pass
    assert names(target) == ["old.txt"]
    assert names(target.parent) == ["target"]


def test_a_crash_between_the_two_renames_is_mended_at_the_next_use(target: Path) -> None:
    target.rename(target.with_name(".target.previous"))
    with pytest.raises(RuntimeError), folder_written_atomically(target):
        raise RuntimeError("and this one fails as well")
    assert names(target) == ["old.txt"]
