"""``lodestore serve`` as a process: what its clients see, and how it starts and stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def command_line() -> Path:
    """The command line that was built last: beside this Python, or in cargo's folder."""
    target = os.environ.get("CARGO_TARGET_DIR", str(Path(__file__).parents[2] / "target"))
    places = [Path(sys.executable).parent / "lodestore", Path(target) / "debug" / "lodestore"]
    built = [place for place in places if place.exists()]
    assert built, f"the command line is in none of {places}; 'make install' puts it there"
    return max(built, key=lambda place: place.stat().st_mtime)


def run(folder: Path, *words: str, stdin: str = "") -> str:
    command = [str(command_line()), *words]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=True).stdout


class Server:
    """A server that runs in a repository."""

    def __init__(self, folder: Path, *words: str, settings: str = "feature_store.yaml") -> None:
        command = [str(command_line()), "-f", settings, "serve", "--port", "0", *words]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert " at http://" in line, line + self.stop()[1]
        self.address = line.split(" at ")[1].split(",")[0].strip()

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of an answer; a body makes it a POST."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """How the process ended, and what it logged."""
        self.process.send_signal(kind)
        _, log = self.process.communicate(timeout=30)
        return self.process.returncode, log


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    run(folder, "init", "demo")
    repository = folder / "demo"
    run(repository, "apply")
    run(repository, "materialize", "2024-01-01", "2024-04-01")
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    server = Server(repository)
    yield server
    assert server.stop()[0] == 0


def test_features_are_read_as_the_command_line_reads_them(server: Server, repository: Path) -> None:
    body = {"feature_service": "driver_activity", "entities": {"driver_id": [1001, "1002", 7, None]}}
    status, answer = server.ask("/get-online-features", body)
    assert status == 200
    words = ["--service", "driver_activity", "-e", "driver_id=1001", "-e", "driver_id=1002", "-e", "driver_id=7"]
    local = json.loads(run(repository, "get-online-features", *words, "--json"))
    names = answer["metadata"]["feature_names"]
    assert names[0] == "driver_id"
    for name, result in zip(names[1:], answer["results"][1:], strict=True):
        assert result["values"][2:] == [None, None] == [local["values"][name][2], None]
        assert result["values"][:2] == pytest.approx(local["values"][name][:2], rel=1e-6)
        assert result["statuses"] == [*local["statuses"][name], "NOT_FOUND"]


def test_rows_that_are_pushed_are_read_at_once(server: Server) -> None:
    features = ["driver_stats:conv_rate"]
    rows = {"driver_id": [42], "event_timestamp": ["2024-03-05T00:00:00"], "conv_rate": [float("nan")]}
    write = json.dumps({"feature_view_name": "driver_stats", "df": rows}).encode()
    assert b"NaN" in write
    assert server.ask("/write-to-online-store", write) == (200, None)
    _, answer = server.ask("/get-online-features", {"features": features, "entities": {"driver_id": [42]}})
    assert answer["results"][1] == {
        "values": ["NaN"],
        "statuses": ["PRESENT"],
        "event_timestamps": ["2024-03-05T00:00:00Z"],
    }


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/get-online-features", {"features": ["nofv:x"], "entities": {}}, (404, "FeatureViewNotFoundException")),
        ("/get-online-features", {"feature_service": "x", "entities": {}}, (404, "FeatureServiceNotFoundException")),
        ("/get-online-features", {"features": ["driver_stats:conv_rate"], "entities": {}}, (400, "FeastError")),
        ("/push", {"push_source_name": "x", "df": {}}, (404, "PushSourceNotFoundException")),
    ],
)
def test_errors_are_what_feasts_client_parses(server: Server, path: str, body: Any, expected: tuple[int, str]) -> None:
    status, answer = server.ask(path, body)
    inner = json.loads(answer)
    assert (status, inner["class"]) == expected
    assert inner["module"] == "feast.errors"
    assert inner["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"entities": 1}', b"\xff", b'{"entities": {"a": [1e999]}}'])
def test_bodies_that_are_not_understood_are_422(server: Server, body: bytes) -> None:
    status, answer = server.ask("/get-online-features", body)
    assert status == 422
    assert answer["detail"][0]["msg"]


def test_many_clients_are_answered_at_the_same_time(server: Server) -> None:
    def ask(driver: int) -> list[Any]:
        body = {"features": ["driver_stats:conv_rate"], "entities": {"driver_id": [driver]}}
        status, answer = server.ask("/get-online-features", body)
        assert status == 200
        values: list[Any] = answer["results"][0]["values"]
        return values

    with ThreadPoolExecutor(16) as clients:
        assert list(clients.map(ask, range(400))) == [[driver] for driver in range(400)]


def test_a_view_that_is_applied_is_served_within_a_second(server: Server, repository: Path) -> None:
    file = repository / "more.yaml"
    file.write_text(
        "version: 1\n"
        "data_sources: [{name: more_events, type: push}]\n"
        "feature_views:\n"
        "  - {name: more, entities: [driver], source: more_events, schema: [{name: extra, type: int64}]}\n"
    )
    run(repository, "apply")
    body = {"features": ["more:extra"], "entities": {"driver_id": [1]}}
    applied = time.monotonic()
    while server.ask("/get-online-features", body)[0] != 200:
        assert time.monotonic() - applied < 1
        time.sleep(0.02)


def test_keys_are_asked_for_where_they_are_set(repository: Path) -> None:
    sha256 = run(repository, "hash-key", stdin="secret\n").strip()
    settings = (repository / "feature_store.yaml").read_text()
    file = repository / "with_keys.yaml"
    file.write_text(f"{settings}\nauth: {{type: api_keys, keys: [{{name: ci, sha256: {sha256}}}]}}\n")
    server = Server(repository, settings=file.name)
    assert server.ask("/v1/registry")[0] == 401
    assert server.ask("/v1/registry", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert server.ask("/v1/registry", headers={"Authorization": "Bearer secret"})[0] == 200
    assert server.ask("/health") == (200, None)
    assert server.stop()[0] == 0


def test_an_address_that_others_reach_needs_keys_or_a_word(repository: Path) -> None:
    command = [str(command_line()), "serve", "--host", "0.0.0.0", "--port", "0"]
    refused = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert "--allow-unauthenticated" in refused.stderr
    server = Server(repository, "--host", "0.0.0.0", "--allow-unauthenticated")
    assert server.stop(signal.SIGINT)[0] == 0


def test_lines_of_the_log_are_json_where_that_is_asked_for(repository: Path) -> None:
    server = Server(repository, "--log-format", "json", "--log-level", "debug")
    server.ask("/health", headers={"X-Request-ID": "abc-1"})
    server.ask("/nothing")
    status, log = server.stop()
    assert status == 0
    lines = [json.loads(line) for line in log.splitlines()]
    answered = next(line for line in lines if line.get("request_id") == "abc-1")
    assert (answered["route"], answered["status"], answered["level"]) == ("/health", 200, "DEBUG")
    assert any(line.get("status") == 404 for line in lines)


def test_a_server_that_is_killed_loses_nothing(repository: Path) -> None:
    server = Server(repository)
    rows = {"driver_id": [77], "event_timestamp": ["2024-03-06"], "conv_rate": [0.25]}
    assert server.ask("/v1/write", {"feature_view": "driver_stats", "rows": rows})[1] == {"written": 1, "skipped": 0}
    server.process.kill()
    server.process.communicate()
    again = Server(repository)
    body = {"features": ["driver_stats:conv_rate"], "entities": {"driver_id": [77]}}
    assert again.ask("/v1/online-features", body)[1]["features"][0]["values"] == [0.25]
    assert again.stop()[0] == 0
