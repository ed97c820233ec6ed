"""An HTTP server for tests: routes, byte ranges, a log of what was asked, and faults on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass
class Request:
    method: str
    path: str  # with the query
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_response(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass
class Fault:
    """What goes wrong with requests whose path matches; `times` runs out."""

    pattern: str
    kind: str  # a status, truncate, short, long, slow, html, redirect
    times: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    method: str = ""


class Server(ThreadingHTTPServer):
    """Subclasses answer in `answer`; a context manager that serves while it is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.log: list[tuple[str, str, int, int]] = []  # method, path, status, bytes sent
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self.counting = threading.Lock()
        self.answering = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def fault(self, pattern: str, kind: str | int, times: int = 1, **options: Any) -> None:
        self.faults.append(Fault(pattern, str(kind), times, **options))

    def next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if (
                    fault.times
                    and re.search(fault.pattern, request.path)
                    and fault.method in ("", request.method)
                ):
                    fault.times -= 1
                    return fault
        return None

    def asked(self, pattern: str) -> list[tuple[str, str, int, int]]:
        """What was asked for. A client has its answer a moment before the answer is in the log."""
        until = time.monotonic() + 2.0
        while self.answering and time.monotonic() < until:
            time.sleep(0.005)
        return [entry for entry in self.log if re.search(pattern, entry[1])]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        with self.server.counting:
            self.server.answering += 1
        try:
            self._answer()
        finally:
            with self.server.counting:
                self.server.answering -= 1

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
        fault = self.server.next_fault(request)
        response = _failed(fault, request) if fault else None
        if response is None:
            response = self.server.answer(request)
            if fault and fault.kind == "slow":
                time.sleep(0.5)
        sent = self._send(response, fault.kind if fault else "")
        self.server.log.append((self.command, self.path, response.status, sent))

    def _send(self, response: Response, fault: str) -> int:
        body = response.body
        length = len(body)
        if fault == "truncate":  # says all, sends half, hangs up
            body = body[: length // 2]
        elif fault == "short":  # says less than it sends
            length, self.close_connection = length // 2, True
        elif fault == "long":
            length += 1000
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        if fault in ("truncate", "long", "short"):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return 0
        self.wfile.write(body)
        return len(body)

    do_GET = do_POST = do_HEAD = _serve

    def log_message(self, *_: object) -> None:
        pass


def _failed(fault: Fault, request: Request) -> Response | None:
    if fault.kind.isdigit():
        return Response(int(fault.kind), fault.body or b'{"error": "as asked"}', fault.headers)
    if fault.kind == "html":
        return Response(200, b"<html>down for maintenance</html>", {"Content-Type": "text/html"})
    if fault.kind.startswith("redirect"):
        status = int(fault.kind.removeprefix("redirect") or 307)
        return Response(status, b"", {"Location": request.path, **fault.headers})
    return None


def file_response(path: Path, request: Request) -> Response:
    """A file, or the range of it that is asked for, as object stores give it."""
    if not path.is_file():
        return Response(404, b"no such key")
    data = path.read_bytes()
    headers = {"Accept-Ranges": "bytes", "Content-Type": "image/tiff"}
    match = re.match(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if not match:
        return Response(200, data, headers)
    first, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
    if first >= len(data):
        return Response(416, b"", {"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(206, data[first : last + 1], headers)


Route = Callable[[Request], Response]


def path_of(request: Request) -> str:
    return urlsplit(request.path).path
