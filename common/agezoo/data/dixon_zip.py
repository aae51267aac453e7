"""A zip of DICOM, read in memory: what a hostile or damaged one would do is refused before a member is opened."""

from __future__ import annotations

import re
import stat
import threading
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from types import TracebackType

from agezoo.data.dicom_headers import count_of
from agezoo.errors import InputError

MAX_MEMBERS = 50_000
MAX_TOTAL_BYTES = 8 << 30
MAX_MEMBER_BYTES = 2 << 30
# A visit of 1500 images is some hundred megabytes; DICOM with empty background shrinks to a tenth at most.
MAX_RATIO = 100
_RATIO_FROM_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20
_ARCHIVE_NAME = re.compile(r"\.(zip|tar|tgz|gz|bz2|xz|7z|rar|zst)$", re.IGNORECASE)
_LOCAL_HEADER_BYTES = 30


def is_zip(path: Path) -> bool:
    """Whether the name is that of a zip archive."""
    return path.name.lower().endswith(".zip")


class DicomZip:
    """The members of a zip, by name; a context manager. Nothing is ever written.

    Parameters
    ----------
    path
        The archive.
    source
        What it is called in messages.

    Raises
    ------
    InputError
        If it is not a zip, or one whose members have absolute names or names that lead out of a folder, are links,
        encrypted, archives themselves, stored on top of each other, doubled, or would unpack to more than
        :data:`MAX_TOTAL_BYTES` or :data:`MAX_RATIO` times the archive's size.
    """

    def __init__(self, path: Path, *, source: str) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._kept: tuple[str, bytes] | None = None
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
            raise _refusal("is not a zip file, or cut off", source, remedy="copy or download it again") from error
        except OSError as error:
            raise InputError("the file cannot be opened", source=source, found=error.strerror) from error
        try:
            self._members = {info.filename: info for info in self._checked(path.stat().st_size)}
        except InputError:
            self._zip.close()
            raise

    def __enter__(self) -> DicomZip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Members that may be images, sorted; folders, hidden files and the finder's extras are left out."""
        return tuple(sorted(name for name in self._members if not _is_hidden(name)))

    def read(self, name: str) -> bytes:
        """A member's bytes, with its length and checksum verified.

        Raises
        ------
        InputError
            If the member is damaged, cut off, packed in a way that cannot be unpacked, or longer than the archive's
            directory says.
        """
        info = self._members[name]
        pieces, n_bytes = [], 0
        try:
            with self._zip.open(info) as stream:
                while piece := stream.read(_CHUNK_BYTES):
                    pieces.append(piece)
                    n_bytes += len(piece)
        except NotImplementedError as error:
            raise self._fault(name, "is packed by a method that cannot be unpacked here") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise self._fault(name, "is damaged: its checksum or length is wrong") from error
        if n_bytes != info.file_size:
            raise self._fault(name, "is cut off")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def open(self, name: str) -> BytesIO:
        """A member as a file in memory; the last one is kept, because multi-frame images are read frame by frame."""
        with self._lock:
            kept = self._kept
        if kept is None or kept[0] != name:
            kept = (name, self.read(name))
            with self._lock:
                self._kept = kept
        return BytesIO(kept[1])

    def _fault(self, name: str, problem: str) -> InputError:
        return InputError(
            f"member {_shown(name)} {problem}", source=self.source, remedy="copy or download the archive again"
        )

    def _checked(self, archive_bytes: int) -> list[zipfile.ZipInfo]:
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            raise _refusal(
                "has too many members", self.source, found=len(infos), expected=f"at most {MAX_MEMBERS}: one visit"
            )
        for info in infos:
            problem = _problem(info)
            if problem:
                raise _refusal(f"member {_shown(info.filename)} {problem}", self.source)
        files = [info for info in infos if not info.is_dir()]
        names = {info.filename for info in files}
        if len(names) != len(files):
            raise _refusal(
                "holds several members of one name",
                self.source,
                found=f"{count_of(len(files), 'member')}, {count_of(len(names), 'name')}",
            )
        _check_sizes(files, archive_bytes, self.source)
        return files


def _check_sizes(files: list[zipfile.ZipInfo], archive_bytes: int, source: str) -> None:
    total = sum(info.file_size for info in files)
    if total > MAX_TOTAL_BYTES or (total > _RATIO_FROM_BYTES and total > MAX_RATIO * archive_bytes):
        raise _refusal(
            "would unpack to more than a visit can hold",
            source,
            found=f"{archive_bytes / 2**20:.1f} MiB that unpack to {total / 2**20:.0f} MiB",
            expected=f"at most {MAX_TOTAL_BYTES >> 20} MiB and {MAX_RATIO} times the archive's size",
        )
    # Members that share compressed bytes are a bomb's way round the limits above.
    end = 0
    for info in sorted(files, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refusal(f"member {_shown(info.filename)} lies on top of another one", source)
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size


def _problem(info: zipfile.ZipInfo) -> str:
    """What makes a member one that is not opened; empty if nothing does."""
    name = info.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\0" in name:
        return "has an absolute or impossible name"
    if ".." in name.split("/"):
        return "has a name that leads out of the archive's folder"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or device, not a file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > MAX_MEMBER_BYTES:
        return f"is too large ({info.file_size >> 20} MiB)"
    if _ARCHIVE_NAME.search(name) and not _is_hidden(name):
        return "is an archive itself"
    return ""


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _shown(name: str) -> str:
    """A member's name for a message: without control characters, at most 80 characters."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return repr(plain if len(plain) <= 80 else f"{plain[:77]}...")


def _refusal(
    problem: str, source: str, *, found: object = None, expected: object = None, remedy: str | None = None
) -> InputError:
    return InputError(
        problem,
        source=source,
        found=found,
        expected=expected or "a plain zip of the DICOM files of one visit",
        remedy=remedy or "pack the visit's DICOM files into a new zip, or give their folder",
    )
