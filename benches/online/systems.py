"""The systems in process: a repository each, filled, and a worker that reads from it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from environment import HERE, program, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEAST = "project: {name}\nprovider: local\nregistry: registry.db\nentity_key_serialization_version: 3\n"


@dataclass(frozen=True)
class System:
    """A package with one of its online stores."""

    name: str
    package: str
    settings: str
    """The text of its `feature_store.yaml`; `{redis}` stands for the address of the Redis server."""
    is_precomputed: bool = False
    """Whether services are asked for, whose answers are precomputed for each key."""


SYSTEMS = {
    system.name: system
    for system in (
        System("lodestore", "lodestore", "project: bench\n"),
        System("feast_sqlite", "feast", FEAST + "online_store: {{type: sqlite, path: online.db}}\n"),
        System("feast_redis", "feast", FEAST + 'online_store: {{type: redis, connection_string: "{redis}"}}\n'),
        System(
            "feast_redis_precomputed",
            "feast",
            FEAST + 'online_store: {{type: redis, connection_string: "{redis}"}}\n',
            is_precomputed=True,
        ),
    )
}


def fill(python: Path, layout: Path, system: System, redis: str | None, counts: list[int]) -> tuple[Path, dict]:
    """Makes the repository of a system anew; returns it, and what materialising took."""
    say(f"{layout.name}: filling {system.name}")
    folder = layout / system.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    name = f"bench_{layout.name}_{system.name}"
    (folder / "feature_store.yaml").write_text(system.settings.format(name=name, redis=redis))
    command = [python, HERE / "repository.py", layout, folder, system.package]
    if system.is_precomputed:
        command.append(",".join(map(str, counts)))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return folder, json.loads(done.stdout)


class WorkerError(RuntimeError):
    """A job that a worker could not do."""


class Worker:
    """A process that reads from a repository, one job after the other."""

    def __init__(self, python: Path, system: System, repository: Path) -> None:
        command = [python, HERE / "worker.py", system.package, repository]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._receive()

    def start(self, do: str, **job) -> None:
        """Gives the worker a job, without waiting for it."""
        self._process.stdin.write(json.dumps({"do": do} | job) + "\n")
        self._process.stdin.flush()

    def finish(self) -> dict:
        """Waits for the job at hand, and returns its answer."""
        answer = self._receive()
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def run(self, do: str, **job) -> dict:
        """Gives the worker a job, and returns its answer."""
        self.start(do, **job)
        return self.finish()

    def end(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()

    def _receive(self):
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"the worker ended with code {self._process.wait()}")
        return json.loads(line)


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def redis_server(is_needed: bool) -> Iterator[str | None]:
    """Runs a Redis server that keeps all in memory, and gives its address."""
    if not is_needed:
        yield None
        return
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Waits until a server accepts connections."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server {process.args[0]} ended with code {process.returncode}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server {process.args[0]} did not listen on port {port} within {seconds:.0f} s")
