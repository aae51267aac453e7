"""The folder of a phantom cohort: whose it is, and which images of it are finished."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agezoo.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such lock; there, two writers of one folder are the user's to avoid.
    fcntl = None  # type: ignore[assignment]

TABLE = "cohort.csv"
DESCRIPTION = "cohort.json"
STATEMENT = (
    "Synthetic phantoms drawn by software; no person was scanned. Appearance depends on biological age = age + "
    "deviation. Ages predicted by a model trained on this cohort mean nothing for real people."
)
_LOCK = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; wait for another process that holds it. A killed process gives it back."""
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file, not a folder for a phantom cohort", source=folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def in_range(*checks: tuple[str, object, str, bool]) -> None:
    """Raise `InputError` for the first of (parameter, value, what is expected, whether it is fine) that is not."""
    for name, found, expected, fine in checks:
        if not fine:
            raise InputError("phantom cohort parameter out of range", source=name, found=found, expected=expected)


def claim_folder(
    folder: Path,
    parameters: Mapping[str, Any],
    *,
    labels: Mapping[str, int],
    description: str,
    parts: Sequence[str] = ("images", "masks", "scans"),
) -> None:
    """Make an empty folder the cohort's, or find that it already holds this cohort.

    Parameters
    ----------
    folder
        An existing folder.
    parameters
        What decides the cohort.
    labels
        Names of the mask's values.
    description
        Content of ``cohort.json`` while the cohort is not complete.
    parts
        Folders to make; ``masks`` and ``scans`` are always among them.

    Raises
    ------
    InputError
        The folder holds other files, or a cohort of other parameters (all differences are named).
    """
    path = folder / DESCRIPTION
    if path.is_file():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))["parameters"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "not the description of a phantom cohort", source=path, remedy="choose another folder"
            ) from error
        wanted = json.loads(json.dumps(parameters))
        other = sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key))
        if other:
            raise InputError(
                "holds a phantom cohort of other parameters",
                source=folder,
                found=", ".join(f"{key} {stored.get(key)}" for key in other),
                expected=", ".join(f"{key} {wanted.get(key)}" for key in other),
                remedy="choose another folder, or delete this one to write the cohort anew",
            )
        return
    if any(entry.name != _LOCK for entry in folder.iterdir()):
        raise InputError(
            "is not empty and holds no phantom cohort", source=folder, remedy="choose a new or an empty folder"
        )
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_text(folder / "masks" / "labels.json", json.dumps(labels, indent=2) + "\n")
    write_text(path, description)


def row_path(folder: Path, scan_name: str) -> Path:
    """Where a finished scan's row lies; the file is written last, so it tells that the scan is complete."""
    return folder / "scans" / f"{scan_name}.json"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is never half there."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
