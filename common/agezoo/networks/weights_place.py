"""The folder that an installation of weights replaces as a whole, and the ``model.pt`` that stands for it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agezoo.data.atomic_folder import folder_written_atomically
from agezoo.errors import InputError, WeightsError
from agezoo.networks.weights import WeightsFile, describe
from agezoo.registry import bundle_root

_OWN_NAMES = re.compile(r"(fold|member)_\d+\.(pt|json)|LICENSE\.txt")


@dataclass(frozen=True)
class Installation:
    """What is installed now.

    Attributes
    ----------
    folder
        Holds the files.
    files
        The members of the ensemble.
    installed
        False if they were there already and nothing was done.
    model
        ``models/model.pt`` when these weights stand there for tools that know no other place; ``None`` if they were
        installed elsewhere, or `kept` has that place.
    kept
        The user's own ``model.pt``, which stays and is asked first.
    """

    folder: Path
    files: tuple[WeightsFile, ...]
    installed: bool = True
    model: Path | None = None
    kept: Path | None = None


@dataclass(frozen=True)
class InstallPlace:
    """Where weights of a bundle go.

    Attributes
    ----------
    bundle, root
        Name and folder of the bundle.
    folder
        Where the files go.
    models
        The bundle's folder for weights, whose ``model.pt`` shall stand for them; ``None`` where the user chose
        `folder`.
    """

    bundle: str
    root: Path
    folder: Path
    models: Path | None

    @classmethod
    def of(cls, bundle: str, root: str | Path | None, out: str | Path | None, name: str) -> InstallPlace:
        """`out` if given, else ``models/<name>`` in the bundle; refused if it holds anything but an installation."""
        root = Path(root) if root else bundle_root(bundle)
        folder, models = (Path(out), None) if out else (root / "models" / name, root / "models")
        _refuse_foreign(folder)
        return cls(bundle, root, folder, models)

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """A new folder that becomes `folder`, and its first member ``model.pt``, when the block ends well."""
        with disk_errors_explained(self.folder):
            copy = None
            try:
                with folder_written_atomically(self.folder) as fresh:
                    yield fresh
                    if self.models is not None and _replaceable(self.models / "model.pt"):
                        copy = _stand_in(fresh, self.folder.name, self.models)
                if copy is not None and self.models is not None:
                    copy.replace(self.models / "model.pt")
                    copy.with_suffix(".json").replace(self.models / "model.json")
            finally:
                if copy is not None:
                    copy.unlink(missing_ok=True)
                    copy.with_suffix(".json").unlink(missing_ok=True)

    def installation(self) -> Installation:
        """What lies there now."""
        files = tuple(describe(path) for path in sorted(self.folder.glob("*.pt")))
        if self.models is None:
            return Installation(self.folder, files)
        model = self.models / "model.pt"
        if _replaceable(model):
            return Installation(self.folder, files, model=model)
        return Installation(self.folder, files, kept=model)


def _replaceable(model: Path) -> bool:
    """Whether ``model.pt`` is absent, stands for an earlier installation or can be had again, so that no training of
    the user's is overwritten."""
    if not model.is_file():
        return True
    try:
        file = describe(model)
    except WeightsError:
        return False
    return "stands_for" in file.record or file.origin in ("phantom", "published")


def _stand_in(fresh: Path, name: str, models: Path) -> Path:
    """A hidden copy of the first member in `models`, whose record names the others as they will lie in `name`."""
    first, *others = sorted(fresh.glob("*.pt"))
    copy = models / f".model-{os.getpid()}.pt"
    record = json.loads(first.with_suffix(".json").read_text())
    record["stands_for"] = name
    record["members"] = [f"{name}/{path.name}" for path in others]
    try:
        shutil.copyfile(first, copy)
        copy.with_suffix(".json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    except BaseException:
        copy.unlink(missing_ok=True)
        copy.with_suffix(".json").unlink(missing_ok=True)
        raise
    return copy


def _refuse_foreign(folder: Path) -> None:
    """The folder is replaced as a whole, so nothing but an earlier installation may be in it."""
    if not folder.exists():
        return
    found = [path.name for path in folder.iterdir()] if folder.is_dir() else ["a file of that name"]
    foreign = sorted(name for name in found if not _OWN_NAMES.fullmatch(name))
    if foreign:
        raise InputError(
            "other things are in the folder, which would be replaced as a whole",
            source=folder,
            found=", ".join(foreign[:4]) + (", ..." if len(foreign) > 4 else ""),
            expected="a folder that does not exist yet, is empty or holds an earlier installation",
        )


@contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses while weights are installed into an error for the user."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise WeightsError(
            "the disk is full" if full else "the weights cannot be read or written",
            source=error.filename or folder,
            found=None if full else error.strerror or str(error),
            remedy=("make room" if full else "mend the permissions") + ", or choose another folder with --out",
        ) from None
