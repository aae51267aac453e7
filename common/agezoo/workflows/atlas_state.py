"""What a half-finished atlas remembers: sums and the list of cases in them, which never disagree."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError
from agezoo.workflows.atlas_sums import AtlasSums

FOLDER = "state"
_SUMS = "sums.npz"
_JOURNAL = "cases.jsonl"
_SETTINGS = "settings.json"


class AtlasState:
    """Sums on disk with a journal of the cases in them.

    A case goes into the sums in memory and its row to the end of the journal. :meth:`save` brings the journal to disk
    and then replaces the file of sums, in which the journal's length stands. A run that was killed finds sums of some
    moment and cuts the journal to the length of that moment: cases after it are done again, none is counted twice. What
    is written does not grow with the number of cases, except the row of each.

    Parameters
    ----------
    out
        Folder of the atlas; the state lies in ``state/``.
    settings
        Everything that the sums depend on. Another content means other sums.
    empty
        Sums to begin with.
    resume
        Go on with what lies there; otherwise begin anew.

    Raises
    ------
    InputError
        If what lies there was made with other settings.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], empty: AtlasSums, *, resume: bool = True) -> None:
        self._folder = out / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self.sums = empty
        length = 0
        known = read_settings(out) if resume else None
        if known is not None and (self._folder / _SUMS).is_file():
            _must_agree(known, settings, out)
            self.sums, length = read_sums(out)
        else:
            (self._folder / _SUMS).unlink(missing_ok=True)
            _write_json(self._folder / _SETTINGS, settings)
        self._journal = (self._folder / _JOURNAL).open("ab+")
        self._journal.truncate(length)
        self._journal.seek(0, os.SEEK_END)
        self._unsaved = 0

    def done(self) -> set[str]:
        """Keys of the cases that need not be done again: counted, or failed in a way that will repeat itself."""
        self._journal.flush()
        return {row["key"] for row in self.rows() if not row.get("may_pass_later")}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of the journal; a case that failed may have a later one."""
        self._journal.flush()
        return _rows(self._folder / _JOURNAL)

    def add(self, row: Mapping[str, Any]) -> None:
        """Put a case's row into the journal; its map must be in :attr:`sums` already."""
        self._journal.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))
        self._unsaved += 1

    @property
    def unsaved(self) -> int:
        """Cases since the last save."""
        return self._unsaved

    def save(self) -> None:
        """Make everything so far safe against a kill."""
        self._journal.flush()
        os.fsync(self._journal.fileno())
        with written_atomically(self._folder / _SUMS) as temporary:
            np.savez(temporary, journal_bytes=self._journal.tell(), **self.sums.as_arrays())  # type: ignore[arg-type]
        self._unsaved = 0

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()


def read_settings(out: Path) -> dict[str, Any] | None:
    """Settings of the atlas in a folder; None if there is none."""
    path = out / FOLDER / _SETTINGS
    if not path.is_file():
        return None
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return settings


def read_sums(out: Path) -> tuple[AtlasSums, int]:
    """Sums in a folder and the length of the journal that belongs to them, in bytes."""
    settings = read_settings(out) or {}
    path = out / FOLDER / _SUMS
    if not path.is_file():
        raise InputError("no sums of an atlas there", source=out, expected="a folder that agezoo atlas wrote")
    with np.load(path, allow_pickle=False) as arrays:
        sums = AtlasSums.from_arrays(settings["groups"], {name: arrays[name] for name in arrays.files})
        return sums, int(arrays["journal_bytes"])


def saved_rows(out: Path) -> Iterator[dict[str, Any]]:
    """Rows of the cases that are in :func:`read_sums`, failed ones too."""
    return _rows(out / FOLDER / _JOURNAL, read_sums(out)[1])


def _rows(path: Path, length: int | None = None) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        for line in stream:
            if length is not None and stream.tell() > length:
                return
            yield json.loads(line)


def _must_agree(known: Mapping[str, Any], settings: Mapping[str, Any], out: Path) -> None:
    now = json.loads(json.dumps(settings))
    different = [name for name in {**known, **now} if known.get(name) != now.get(name)]
    if different:
        raise InputError(
            "the atlas in this folder was begun with other settings or another cohort",
            source=out,
            found=", ".join(
                f"{name}: then {_short(known.get(name))}, now {_short(now.get(name))}" for name in different
            ),
            remedy="give the settings of then, another --out, or --fresh to begin anew",
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
