"""Where the DICOM images of one visit come from: a zip, a folder or a list of files, seen alike."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from agezoo.data.dicom_elements import quiet_pydicom
from agezoo.data.dicom_headers import HeaderScan, SliceHeader, scan_headers, scan_stream
from agezoo.data.dicom_pixels import open_file
from agezoo.data.dixon_zip import DicomZip
from agezoo.errors import InputError

# Lists and notes that archives hold beside the images; UK Biobank's archives hold manifest.csv or manifest.cvs.
NO_IMAGE_SUFFIXES = {".csv", ".cvs", ".tsv", ".json", ".txt", ".md", ".html", ".xml", ".pdf", ".log", ".png", ".jpg"}


@dataclass(frozen=True)
class DixonSource:
    """The headers of a visit's images, and the way to their pixels.

    Attributes
    ----------
    name
        What it is called in messages.
    root
        Folder or archive that the paths of the headers begin with.
    scan
        All headers.
    archive
        The open zip, or None for files.
    """

    name: str
    root: Path
    scan: HeaderScan
    archive: DicomZip | None = None

    def open(self, header: SliceHeader) -> BinaryIO:
        """The file that holds an image, from its beginning."""
        if self.archive is None:
            return open_file(header)
        return self.archive.open(header.path.relative_to(self.root).as_posix())


def may_be_image(name: str) -> bool:
    """Whether a file's name does not rule out that it is a DICOM image."""
    return PurePosixPath(name).suffix.lower() not in NO_IMAGE_SUFFIXES


@contextmanager
def open_zip(path: Path, *, first_only: bool = False) -> Iterator[DixonSource]:
    """A zip's images, open as long as the context lasts.

    Parameters
    ----------
    path
        The archive.
    first_only
        Read headers only up to the first image, which tells whose scan it is.

    Raises
    ------
    InputError
        As :class:`agezoo.data.dixon_zip.DicomZip` does.
    """
    scan = HeaderScan()
    with DicomZip(path, source=str(path)) as archive:
        with quiet_pydicom():
            for name in archive.names:
                if may_be_image(name):
                    scan_stream(BytesIO(archive.read(name)), path / name, scan)
                if first_only and scan.headers:
                    break
        yield DixonSource(str(path), path, scan, archive)


def files_source(files: Sequence[Path], *, root: Path | None = None, name: str | None = None) -> DixonSource:
    """The images among files on disk.

    Parameters
    ----------
    files
        Any files; those that are not DICOM are set aside.
    root, name
        The folder that they were found in, and what it is called; the folder they share by default.

    Raises
    ------
    InputError
        If a file cannot be opened.
    """
    if root is None:
        root = Path(os.path.commonpath([path.parent for path in files]))
    if name is None:
        name = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    images = [path for path in dict.fromkeys(files) if may_be_image(path.name)]
    return DixonSource(name, root, scan_headers(images))


def refuse_damaged(source: DixonSource) -> None:
    """Nothing is known of a damaged image, so it may be a slice that a station lacks.

    Raises
    ------
    InputError
        If there is one.
    """
    if source.scan.damaged:
        names = ", ".join(path.name for path in source.scan.damaged[:3])
        more = ", ..." if len(source.scan.damaged) > 3 else ""
        raise InputError(
            "DICOM files are damaged or cut off",
            source=source.name,
            found=f"{len(source.scan.damaged)}: {names}{more}",
            remedy="copy or export them again",
        )
