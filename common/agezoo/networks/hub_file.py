"""Weights that other projects publish by the convention of PyTorch's hub: the file's name holds its checksum."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError, WeightsError
from agezoo.networks.weights import file_sha256
from agezoo.networks.weights_download import download
from agezoo.networks.weights_place import disk_errors_explained

_CHECKSUM = re.compile(r"-([0-9a-f]{8,})\.pth?$")


@dataclass(frozen=True)
class HubFile:
    """A file on the web, named by the hub's convention: the end of its name is the beginning of its sha256.

    Attributes
    ----------
    url
        Its address.
    name
        Its name.
    sha256_start
        First digits of its checksum.
    named_by
        The project whose code names the address.
    """

    url: str
    name: str
    sha256_start: str
    named_by: str = "MONAI"

    @classmethod
    def at(cls, url: str, named_by: str = "MONAI") -> HubFile:
        """The file at an address.

        Raises
        ------
        ValueError
            If its name holds no checksum.
        """
        name = url.rsplit("/", 1)[-1]
        match = _CHECKSUM.search(name)
        if match is None:
            raise ValueError(f"{url}: the name holds no checksum")
        return cls(url, name, match[1], named_by)


def fetch_hub_file(
    file: HubFile,
    out: str | Path,
    *,
    url: str | None = None,
    progress: bool = True,
    timeout_s: float = 30.0,
    pause_s: float = 2.0,
) -> tuple[Path, bool]:
    """Download a file to `out`, authenticate it by its checksum; give its path and whether it was fetched.

    A file that is there already and is the right one is left alone.

    Parameters
    ----------
    file
        What to fetch.
    out
        The file to write; a folder gets it under its own name.
    url
        Folder of a mirror that holds the file under the same name.
    progress, timeout_s, pause_s
        See :func:`agezoo.networks.weights_download.download`.

    Raises
    ------
    InputError
        If something else lies at `out`.
    WeightsError
        If the file cannot be fetched or is another; nothing is then left at `out`.
    """
    out = Path(out)
    out = out / file.name if out.is_dir() else out
    if out.exists():
        if out.is_file() and file_sha256(out).startswith(file.sha256_start):
            return out, False
        raise InputError("another file is there, which is not overwritten", source=out, remedy="choose another --out")
    address = f"{url.rstrip('/')}/{file.name}" if url else file.url
    with disk_errors_explained(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_atomically(out) as temporary:
            by_hand = f"download {file.url} with a browser, on any computer, and name it in the setting pretrained"
            download(address, temporary, by_hand=by_hand, timeout_s=timeout_s, pause_s=pause_s, progress=progress)
            found = file_sha256(temporary)
            if not found.startswith(file.sha256_start):
                raise WeightsError(
                    f"this is not the file that {file.named_by} names; it was not kept",
                    source=address,
                    found=f"sha256 {found}, {temporary.stat().st_size} bytes",
                    expected=f"a sha256 that begins with {file.sha256_start}",
                    remedy=f"try again, as a proxy may have answered with a page of its own; or {by_hand}",
                )
    return out, True


def check_name(path: str | Path, sha256: str) -> None:
    """Refuse a file whose name holds the beginning of another checksum than its own, `sha256`; other names are free.

    Raises
    ------
    WeightsError
        If they differ: the file was cut short or altered.
    """
    match = _CHECKSUM.search(Path(path).name)
    if match is not None and not sha256.startswith(match[1]):
        raise WeightsError(
            "the file is not the one that its name says",
            source=path,
            found=f"sha256 {sha256[:16]}...",
            expected=f"a sha256 that begins with {match[1]}",
            remedy="download it again",
        )
