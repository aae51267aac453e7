"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_written_atomically(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder beside `target` that takes its place, with all that it held, when the block ends well.

    An exception inside the block removes the new folder and leaves `target` as it was. File systems cannot exchange two
    folders in one step, so a crash in the instant between two renames leaves the earlier folder as
    ``.<name>.previous`` beside it; the next use puts it back.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow a link that stands for the folder
    target.parent.mkdir(parents=True, exist_ok=True)
    previous = target.with_name(f".{target.name}.previous")
    if previous.exists():
        if target.exists():
            shutil.rmtree(previous)
        else:
            previous.rename(target)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield fresh
        # mkdtemp makes folders that only their owner can enter; a result is shared like any other new folder.
        umask = os.umask(0)
        os.umask(umask)
        fresh.chmod(0o777 & ~umask)
        if target.exists():
            target.rename(previous)
        try:
            fresh.rename(target)
        except BaseException:
            if previous.exists():
                previous.rename(target)
            raise
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
