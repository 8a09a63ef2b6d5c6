"""Lodestore's server with tens of thousands of idle connections, and with more than it has file descriptors for.

What it prints is explained in benches/README.md.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from environment import HERE, lodestore, say, stored, version
from layouts import Layout
from load import ROUTE, one_key_bodies, open_loop
from options import Lines, parser
from servers import resident_mb, running
from systems import SYSTEMS, fill, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = 10_000
FEATURES = 50
PROBES = 32
"""The connections of the requests that are measured."""
RESERVED = 500
"""Descriptors that a process needs beside those of idle connections."""
FEW_FILES = 1_024
"""The limit of open files that most systems start a process with."""
SETTLED_SECONDS = 3
"""How long after connections are closed memory is looked at: by then it has gone back to the system."""
PATIENCE_SECONDS = 2
"""How long an answer is waited for on a connection that the server may have no room for."""


def main() -> int:
    """Runs both parts, and returns the exit code: 1 if a request failed, or connections were lost."""
    options = arguments()
    lines = Lines("idle")
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    python = lodestore(options.data, options.wheel)
    layout = Layout("published", 25, 10, max(1, KEYS // options.scale), types=("int64",))
    folder = stored(options.data, python, layout)
    repository, _ = fill(python, folder, SYSTEMS["lodestore"], None, [])
    bodies = one_key_bodies(layout, FEATURES)
    file = folder / "idle.jsonl"
    file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    lines.add(version=version(python, "lodestore"), most_files=most_files)
    passed = idle(lines, python, repository, file, options, most_files)
    passed &= full(lines, python, repository, json.dumps(bodies[0]), options)
    if options.markdown:
        print(lines.markdown())
    return int(not passed)


def arguments():
    """Returns the command line's options."""
    made = parser("Lodestore's server with many idle connections, and with more than it has file descriptors for.")
    made.add_argument("--connections", type=int, default=50_000, help="idle ones; default: %(default)s")
    made.add_argument("--clients", type=int, default=4, help="processes that hold them; default: %(default)s")
    made.add_argument("--rate", type=float, default=1_000, help="requests a second meanwhile; default: %(default)s")
    made.add_argument("--seconds", type=float, default=20, help="the length of a turn; default: %(default)s")
    options = made.parse_args()
    if options.quick:
        options.connections, options.seconds, options.scale = min(options.connections, 2_000), 2, 10
    return options


def idle(lines: Lines, python: Path, repository: Path, file: Path, options, most_files: int) -> bool:
    """Prints memory and latencies before, with and after the connections; returns whether all was answered."""
    count = min(options.connections, most_files - RESERVED)
    if count < options.connections:
        say(f"a process may have {most_files} files open: {count} connections instead of {options.connections}")
    body = file.read_text().splitlines()[0]
    passed, memory = True, {}
    with server(python, repository, most_files) as (port, process):

        def look(when: str, **found: int) -> None:
            nonlocal passed
            url = f"http://127.0.0.1:{port}{ROUTE}"
            load = open_loop(options.data, url, file, options.rate, PROBES, options.seconds)
            memory[when] = resident_mb(process)
            passed &= load["errors"] == 0
            lines.add(connections=when, **found, rss_mb=memory[when], **load)

        look("before", opened=0, answered=0, kept=0)
        with clients(port, count, options.clients, body) as held:
            found = held.opened()
            look("open", **found, kept=count)
            kept = held.close()
        time.sleep(SETTLED_SECONDS)
        look("closed", **found, kept=kept)
    passed &= found["answered"] == kept == count
    each = (memory["open"] - memory["before"]) * 1e6 / count
    lines.add(bar="all connections kept, no error", count=count, bytes_per_connection=each, passed=passed)
    return passed


def full(lines: Lines, python: Path, repository: Path, body: str, options) -> bool:
    """Prints how the server fares that can't open more files; returns whether it answers who it has, and recovers."""
    with server(python, repository, FEW_FILES) as (port, process), ExitStack() as stack:
        known = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        passed = is_answered(known, body)
        held = stack.enter_context(clients(port, 2 * FEW_FILES, 1, None))
        opened = held.opened()["opened"]
        begun, cpu, took, errors = time.monotonic(), cpu_seconds(process), [], 0
        while time.monotonic() - begun < options.seconds:
            asked = time.perf_counter()
            errors += not is_answered(known, body)
            took.append(time.perf_counter() - asked)
        seconds, cpu = time.monotonic() - begun, cpu_seconds(process) - cpu
        newcomer = is_answered(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS), body)
        kept, closed = held.close(), time.monotonic()
        while not (recovered := is_answered(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS), body)):
            if time.monotonic() - closed > 10 * PATIENCE_SECONDS:
                break
        passed &= errors == 0 and recovered
        lines.add(
            bar="answers who it has when files run out, and recovers",
            files=FEW_FILES,
            opened=opened,
            kept=kept,
            requests_per_second=len(took) / seconds,
            p99_us=quantiles(took, n=100)[98] * 1e6,
            errors=errors,
            cpu_share=cpu / seconds,
            newcomer_answered=newcomer,
            seconds_to_recover=time.monotonic() - closed,
            log_lines=len((repository / "server.log").read_text().splitlines()),
            passed=passed,
        )
    return passed


@contextmanager
def server(python: Path, repository: Path, files: int) -> Iterator[tuple[int, int]]:
    """Runs Lodestore's server with a limit of open files; gives its port and process id. It is patient when idle."""
    port = free_port()
    serve = [python.parent / "lodestore", "-C", repository, "serve", "--port", str(port), "--idle-seconds", "3600"]
    command = ["sh", "-c", f'ulimit -Sn {files} && exec "$@"', "serve", *serve]
    with running(command, port, repository / "server.log") as process:
        yield port, process.pid


class Clients:
    """Processes that hold idle connections, each from an address of its own: an address has 28,000 ports."""

    def __init__(self, port: int, count: int, processes: int, body: str | None) -> None:
        each = [count // processes + (place < count % processes) for place in range(processes)]
        more = [body] if body else []
        self._processes = [
            subprocess.Popen(
                [sys.executable, HERE / "idle_client.py", str(port), str(many), f"127.0.0.{place + 2}", *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for place, many in enumerate(each)
        ]

    def opened(self) -> dict[str, int]:
        """Waits until all have opened what they can; returns how many were opened and answered."""
        said = [json.loads(process.stdout.readline()) for process in self._processes]
        return {name: sum(one[name] for one in said) for name in ("opened", "answered")}

    def close(self) -> int:
        """Closes the connections, and returns how many were still open."""
        for process in self._processes:
            process.stdin.close()
        kept = sum(json.loads(process.stdout.readline())["open"] for process in self._processes)
        for process in self._processes:
            process.wait()
        return kept

    def kill(self) -> None:
        """Ends processes that were not closed."""
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def clients(port: int, count: int, processes: int, body: str | None) -> Iterator[Clients]:
    """Gives clients that are ended in any case."""
    held = Clients(port, count, processes, body)
    try:
        yield held
    finally:
        held.kill()


def is_answered(connection: HTTPConnection, body: str) -> bool:
    """Returns whether a request on a connection is answered with 200 in time."""
    try:
        connection.request("POST", ROUTE, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return bool(answer.read()) and answer.status == 200
    except (OSError, HTTPException):
        connection.close()
        return False


def cpu_seconds(process: int) -> float:
    """Returns the processor time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / 100


if __name__ == "__main__":
    sys.exit(main())
