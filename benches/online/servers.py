"""The servers: Lodestore's, Feast's, and nginx with a page that is as long as an answer."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from environment import program
from systems import System, free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

FEAST_SECONDS = 180
"""How long Feast may take to start."""


@contextmanager
def running(command: list[str | Path], port: int, log: Path, seconds: float = 60) -> Iterator[subprocess.Popen]:
    """Runs a server from when it accepts connections; ends it in order. What it prints goes to a file."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            wait_for(port, process, seconds)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def feature_server(python: Path, system: System, repository: Path, workers: int) -> Iterator[tuple[str, int]]:
    """Runs the feature server of a system; gives its address and process id.

    Feast's is tuned: a worker for each core, no log of requests, no recycling of workers, uvloop and httptools.
    """
    port = free_port()
    command: list[str | Path]
    if system.package == "lodestore":
        command = [python.parent / "lodestore", "-C", repository, "serve", "--port", str(port)]
    else:
        command = [python.parent / "feast", "-c", repository, "serve", "-h", "127.0.0.1", "-p", str(port)]
        command += ["--workers", str(workers), "--no-access-log", "--max-requests", "0", "--max-requests-jitter", "0"]
        command += ["--keep-alive-timeout", "600", "--registry_ttl_sec", "600"]
    with running(command, port, repository / "server.log", FEAST_SECONDS) as process:
        yield f"http://127.0.0.1:{port}", process.pid


def resident_mb(process: int) -> float:
    """Returns the memory of a process that is resident."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {process} tells no memory")


@contextmanager
def static_page(body: bytes, workers: int) -> Iterator[str]:
    """Runs nginx with one page, and gives the address of the page."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        (folder / "page.json").write_bytes(body)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (folder / "nginx.conf").write_text(
            f"worker_processes {workers}; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
            "events { worker_connections 1024; }\n"
            "http {\n"
            "  access_log off; sendfile on; tcp_nopush on; open_file_cache max=10; keepalive_requests 100000000;\n"
            "  types { application/json json; }\n"
            + "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
            + f"  server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}; }}\n"
            "}\n"
        )
        with running(
            [program("nginx"), "-e", folder / "error.log", "-c", folder / "nginx.conf"], port, folder / "output.log"
        ):
            yield f"http://127.0.0.1:{port}/page.json"
