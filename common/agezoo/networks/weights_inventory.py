"""What weights lie in a folder, and whether each is still what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agezoo.errors import WeightsError
from agezoo.networks.weights import describe


@dataclass(frozen=True)
class WeightsEntry:
    """One weight file as it is found.

    Attributes
    ----------
    path
        The file.
    size_bytes
        Its size; 0 if it is missing.
    state
        ``ok``: it is what its record says. ``no record``: nothing is known of it. ``altered``: it is another file than
        the recorded one, or its record is damaged. ``missing``: a ``model.pt`` names it as a member.
    origin, fold, sha256
        From the record, where there is a sound one.
    """

    path: Path
    size_bytes: int
    state: str
    origin: str = ""
    fold: int | None = None
    sha256: str = ""


def weights_entries(folder: str | Path) -> list[WeightsEntry]:
    """Every weight file in a folder and below, with its checksum computed anew; a single file stands for itself.

    An unfinished training's ``last.pt`` is no weight file.
    """
    folder = Path(folder)
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.pt"))
    paths = [path for path in paths if path.name != "last.pt" and not path.name.startswith(".")]
    # Members that a record names and nobody else shows: without them an ensemble is not what was installed.
    entries = {path: _entry(path) for path in paths}
    for path in paths:
        for name in _members(path):
            if not (path.parent / name).is_file():
                entries[path.parent / name] = WeightsEntry(path.parent / name, 0, "missing")
    return [entries[path] for path in sorted(entries, key=lambda path: (len(path.parts), path))]


def _entry(path: Path) -> WeightsEntry:
    size = path.stat().st_size
    try:
        file = describe(path)
    except WeightsError:
        return WeightsEntry(path, size, "altered")
    fold = file.record.get("fold")
    state = "ok" if file.record else "no record"
    return WeightsEntry(path, size, state, file.origin, fold if isinstance(fold, int) else None, file.sha256)


def _members(path: Path) -> list[str]:
    try:
        members = describe(path).record.get("members", [])
    except WeightsError:
        return []
    return [name for name in members if isinstance(name, str)] if isinstance(members, list) else []
