"""What is kept on disk of a case while it is being done, where every altered image takes long to prepare."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agezoo.data.atomic import written_atomically


@dataclass(frozen=True)
class CaseParts:
    """Rows of a case's table and slices of what the network saw, one file each per perturbation and grade.

    Attributes
    ----------
    folder
        Of this case alone; made when something is kept.
    """

    folder: Path

    def line(self, name: str, grade: float) -> dict[str, Any] | None:
        """Row of ``robustness.csv`` that was kept, or None."""
        path = self._path(name, grade, ".json")
        if not path.is_file():
            return None
        line: dict[str, Any] = json.loads(path.read_text())
        return line

    def slices(self, name: str, grade: float) -> tuple[np.ndarray, ...] | None:
        """Slices that were kept, or None, also where their file is damaged."""
        try:
            with np.load(self._path(name, grade, ".npz")) as kept:
                return tuple(kept[key].astype(np.float32) for key in sorted(kept))
        except (OSError, ValueError, zipfile.BadZipFile):
            return None

    def keep_line(self, name: str, grade: float, line: dict[str, Any]) -> None:
        """Keep a row."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_atomically(self._path(name, grade, ".json")) as temporary:
            temporary.write_text(json.dumps(line))

    def keep_slices(self, name: str, grade: float, slices: tuple[np.ndarray, ...]) -> None:
        """Keep slices, in half precision, which is enough for a picture."""
        self.folder.mkdir(parents=True, exist_ok=True)
        named = {f"slice_{index}": plane.astype(np.float16) for index, plane in enumerate(slices)}
        with written_atomically(self._path(name, grade, ".npz")) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **named)  # type: ignore[arg-type]

    def _path(self, name: str, grade: float, suffix: str) -> Path:
        return self.folder / f"{name}_{grade:g}{suffix}"
