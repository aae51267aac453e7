"""A web server on this machine that serves files, or fails in a chosen way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WeightsServer:
    """Serves `content` by name under ``url``; `faults` name what happens instead.

    Attributes
    ----------
    faults
        Name -> an HTTP status to answer with, ``"cut"`` (half the announced bytes), ``"cut once"``, ``"reset"`` (the
        connection closes without an answer) or ``"silent"``.
    asked
        Names in the order of the requests.
    """

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.faults: dict[str, int | str] = {}
        self.asked: list[str] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.rsplit("/", 1)[-1]
        self.asked.append(name)
        fault = self.faults.get(name)
        if fault == "cut once":
            del self.faults[name]
        content = self.content.get(name)
        if fault == "silent":
            time.sleep(1.0)
            return
        if fault == "reset":
            return
        if isinstance(fault, int) or content is None:
            handler.send_error(fault if isinstance(fault, int) else 404)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2] if fault in ("cut", "cut once") else content)


@contextmanager
def serving() -> Iterator[WeightsServer]:
    """Run a server on a free port of 127.0.0.1."""
    server = WeightsServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            """Requests are kept in `asked` instead."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}/model"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
