"""One file from the web, whole or not at all, with errors that say what to do."""

from __future__ import annotations

import errno
import http.client
import logging
import socket
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from agezoo.errors import InputError, WeightsError
from agezoo.version import __version__

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 18
_PROXY_HINT = "behind a proxy set the environment variable HTTPS_PROXY=http://HOST:PORT and try again"


class _CutError(Exception):
    """A transfer that broke off; the same request may well succeed."""


def download(
    url: str,
    path: Path,
    *,
    by_hand: str = "",
    timeout_s: float = 30.0,
    attempts: int = 3,
    pause_s: float = 2.0,
    largest_bytes: int = 1 << 28,
    progress: bool = True,
) -> None:
    """Write what `url` holds to `path`, which is removed again when anything goes wrong.

    Proxies named by the environment (``HTTPS_PROXY``, ``NO_PROXY``, ...) are used. Nothing is known of the content
    afterwards but that it is complete: authenticate it before it is opened.

    Parameters
    ----------
    by_hand
        Another way to the file, put into the error messages.
    timeout_s
        Longest silence of the server.
    attempts, pause_s
        How often a transfer that is cut, or a server that is busy, is tried, and the seconds between.
    largest_bytes
        A longer file is refused, so that a wrong address cannot fill the disk.
    progress
        Show a progress bar on a terminal.

    Raises
    ------
    WeightsError
        If the file is not there, access is denied, the server cannot be reached, or the transfer stays incomplete.
    InputError
        If `url` is no web address.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InputError("not a web address", source="--url", found=url, expected="https://HOST/FOLDER or http://...")
    for attempt in range(1, attempts + 1):
        try:
            _transfer(url, path, timeout_s, largest_bytes, progress)
            return
        except BaseException as error:
            path.unlink(missing_ok=True)
            problem, remedy, again = _explained(error)
            if problem is None:
                raise
            if again and attempt < attempts:
                logger.warning("%s: %s; trying again (%d of %d)", path.name, problem, attempt + 1, attempts)
                time.sleep(pause_s)
                continue
            raise WeightsError(
                problem, source=url, remedy="; or ".join(text for text in (remedy, by_hand) if text)
            ) from None


def _transfer(url: str, path: Path, timeout_s: float, largest_bytes: int, progress: bool) -> None:
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": f"agezoo/{__version__}"})
    with urllib.request.urlopen(request, timeout=timeout_s) as response, path.open("wb") as stream:
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced and announced.isdigit() else None
        if total is not None and total > largest_bytes:
            raise WeightsError("the file is implausibly large", source=url, found=f"{total} bytes")
        received = 0
        # disable=None hides the bar where nobody looks at a terminal.
        bar = tqdm(desc=path.name, total=total, unit="B", unit_scale=True, disable=None if progress else True)
        with bar:
            while chunk := response.read(_CHUNK_BYTES):
                stream.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
                if received > largest_bytes:
                    raise WeightsError("the file is implausibly large", source=url, found=f"over {largest_bytes} bytes")
        # Where the connection closes early, read() just ends.
        if total is not None and received != total:
            raise _CutError(f"the transfer was cut: {received} of {total} bytes arrived")


def _explained(error: BaseException) -> tuple[str | None, str, bool]:
    """What went wrong in the user's words, what to do, and whether another try may help; None for what is not ours."""
    if isinstance(error, _CutError):
        return str(error), "run the same command again", True
    if isinstance(error, urllib.error.HTTPError):
        return _status(error.code)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "the server does not answer (timeout)", f"try again later; {_PROXY_HINT}", True
    if isinstance(reason, ssl.SSLError):
        return (
            f"the server's certificate is not trusted ({reason.reason or reason})",
            "where a proxy inspects traffic, set SSL_CERT_FILE to its certificate",
            False,
        )
    if isinstance(reason, socket.gaierror):
        return "the server's name cannot be found: is there a network?", _PROXY_HINT, False
    if isinstance(error, http.client.IncompleteRead):
        return f"the transfer was cut after {len(error.partial)} bytes of a part", "run the same command again", True
    if isinstance(reason, ConnectionRefusedError):
        return "the server refuses the connection", _PROXY_HINT, False
    if isinstance(reason, (ConnectionError, http.client.HTTPException)):
        return f"the connection broke ({type(reason).__name__})", "run the same command again", True
    if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", "make room, or choose another folder with --out", False
    if isinstance(error, urllib.error.URLError):
        return f"the server cannot be reached ({reason})", _PROXY_HINT, False
    return None, "", False


def _status(code: int) -> tuple[str, str, bool]:
    known = {
        401: "the server wants a login",
        403: "the server denies access",
        404: "the file is not there (any more)",
        407: "the proxy wants a login",
        429: "the server has had too many requests from here",
    }
    problem = f"{known.get(code, 'the server reports an error')} (HTTP {code})"
    if code == 407:
        return problem, "set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT", False
    remedy = "give a mirror that has the files with --url" if code in (401, 403, 404) else "try again later"
    return problem, remedy, code in (408, 429) or code >= 500
