"""Servers on loopback for tests: processes of their own, and a proxy that fails when it is told to."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STARTS_WITHIN = 60


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def running(arguments: Callable[[int], list[str]], folder: Path) -> Iterator[str]:
    """The URL of a Python module that serves on the port that its arguments are made for."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, "-m", *arguments(port)]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                urllib.request.urlopen(url).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "server.log").read_text()) from None
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The URL of moto's server, which speaks the protocol of S3."""
    with running(lambda port: ["moto.server", "-H", "127.0.0.1", "-p", str(port)], folder) as url:
        yield url


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server on threads of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Proxy:
    """What a proxy was asked, and what it does about it."""

    url: str = ""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Methods, paths with queries, and ranges."""
    fault: Callable[[str, str], int | None] = lambda _method, _path: None
    """Returns the status to answer a request with, 0 to drop the connection, None to pass the request on."""


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy()
    host = upstream.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            proxy.requests.append((self.command, self.path, self.headers.get("Range")))
            status = proxy.fault(self.command, self.path)
            if status == 0:
                self.close_connection = True
                return
            if status is not None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            connection = http.client.HTTPConnection(host)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            answer = response.read()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(answer))
            if length is not None:
                self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

    with serving(Handler) as url:
        proxy.url = url
        yield proxy


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def proxy(s3: str) -> Iterator[Proxy]:
    with proxy_to(s3) as proxy:
        yield proxy


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Returns the URL of a web server: of a Python module that serves a folder, or of a handler."""
    with ExitStack() as servers:

        def serve(served: str | type[BaseHTTPRequestHandler], folder: Path = tmp_path) -> str:
            if not isinstance(served, str):
                return servers.enter_context(serving(served))
            return servers.enter_context(running(lambda port: [served, "--bind", "127.0.0.1", str(port)], folder))

        yield serve
