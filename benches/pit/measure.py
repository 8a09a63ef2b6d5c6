"""One run of a command as a fresh process, with its times and its memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """What a run may use before it is ended."""

    seconds: float
    rss_mb: float

    def said(self, broken: str) -> str:
        """Returns the limit that was broken in words."""
        return f"more than {self.seconds:g} s" if broken == "timeout" else f"more than {self.rss_mb:g} MB"


@dataclass(frozen=True)
class Run:
    """What a run took: the whole process, start and imports included, and the query alone."""

    status: str
    """`ok`, `timeout`, `out of memory` or `failed`."""
    message: str
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    query_seconds: float | None


def end_in_order() -> None:
    """Makes signals that end a bench exceptions, as an interrupt is, so that it ends what it has started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def measure(command: list[str | Path], limits: Limits) -> Run:
    """Runs a command to its end, or to its limits.

    The system counts what the bench itself has used at its peak as memory of what it starts. It must use little.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, start_new_session=True)
        guard = Guard(process.pid, limits)
        try:
            # The process is left unreaped until all is ended, so that its id can't be another's by then.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            seconds = time.perf_counter() - start
        finally:
            # Also when the bench itself is ended meanwhile.
            guard.end()
            end_all(process.pid)
            _, exit_status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(exit_status)
        said, complaint = last_line(output), last_line(errors)
    if guard.broken:
        status, message = guard.broken, limits.said(guard.broken)
    elif process.returncode != 0:
        status, message = "failed", complaint or f"exit code {process.returncode}"
    else:
        status, message = "ok", ""
    return Run(
        status=status,
        message=message,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_rss_mb=usage.ru_maxrss * RSS_UNIT / 1e6,
        query_seconds=json.loads(said)["query_seconds"] if status == "ok" else None,
    )


def last_line(file) -> str:
    """Returns the last line that was written to a file."""
    file.seek(0)
    lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Guard:
    """Ends a process, and all that it has started, when it breaks a limit."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self.broken = ""
        self._pid = pid
        self._limits = limits
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> None:
        """Stops watching."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        deadline = time.monotonic() + self._limits.seconds
        while not self._over.wait(POLL_SECONDS):
            if time.monotonic() > deadline:
                self.broken = "timeout"
            elif rss_mb(self._pid) > self._limits.rss_mb:
                self.broken = "out of memory"
            if self.broken:
                end_all(self._pid)
                return


def end_all(pid: int) -> None:
    """Ends a process that leads a session, and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def rss_mb(pid: int) -> float:
    """Returns the memory of a process now; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
