"""A PostgreSQL server for tests: a cluster of its own in a folder of its own, gone at the end."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lodestore import FeatureStore

SETTINGS = """
listen_addresses = 'localhost'
unix_socket_directories = ''
fsync = off
ssl = on
logging_collector = off
log_statement = all
log_line_prefix = '%a|'
"""


class Server:
    """A server that runs, its superuser ``postgres``, and what it says of itself."""

    password = "p@ss 'word'"

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, Path(folder)
        self.root_certificate = self.folder / "root.crt"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._make_cluster()
        self.start()

    def _as_owner(self, *command):
        # The server refuses to run as root.
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*owner, *map(str, command)], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout

    def _make_cluster(self):
        (self.folder / "password").write_text(self.password)
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(self.folder / "password", "postgres")
        cluster = ["-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "--no-sync"]
        self._as_owner(self.binaries / "initdb", *cluster, "-E", "UTF8", "--locale=C.UTF-8")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        root = ["-x509", "-days", "2", "-subj", "/CN=a root for tests", "-keyout", "root.key", "-out", "root.crt"]
        self._as_owner("openssl", "req", *key, *root)
        named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
        signed = ["-CA", "root.crt", "-CAkey", "root.key", "-addext", "basicConstraints=critical,CA:FALSE"]
        server = ["-keyout", "data/server.key", "-out", "data/server.crt"]
        self._as_owner("openssl", "req", "-x509", *key, *named, *signed, *server)
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(SETTINGS + f"port = {self.port}\n")

    def start(self):
        self._as_owner(self.binaries / "pg_ctl", "-D", "data", "-w", "-l", "log", "start")

    def stop(self, mode="fast"):
        self._as_owner(self.binaries / "pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def run(self, sql, **variables):
        """Runs statements and returns their answer's lines; ``:'name'`` stands for a variable."""
        given = [f"--set={name}={value}" for name, value in variables.items()]
        address = ["-h", "localhost", "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            ["psql", "-qAtX", "--set=ON_ERROR_STOP=1", *given, *address, "-d", "postgres", "-f", "-"],
            env=os.environ | {"PGPASSWORD": self.password, "PGAPPNAME": "test"},
            input=sql,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def wait_for(self, sql, seconds=15):
        """Runs a statement until its answer has a line, and returns that."""
        for _ in range(seconds * 10):
            if lines := self.run(sql):
                return lines[0]
            time.sleep(0.1)
        raise AssertionError(f"no answer within {seconds} s: {sql}")

    def log(self):
        """Returns all that the server has logged."""
        return (self.folder / "log").read_text()

    def statements(self):
        """Returns the statements that lodestore had the server run."""
        lines = self.log().splitlines()
        return [line.split(": ", 2)[2] for line in lines if line.startswith("lodestore|LOG:  execute ")]

    def settings(self, **others):
        """Returns the settings of a connection to the server, as YAML."""
        settings = {"type": "postgres", "host": "localhost", "port": self.port, "user": "postgres"}
        settings |= {"password": self.password, "database": "postgres"} | others
        return "{" + ", ".join(f'{name}: "{value}"' for name, value in settings.items()) + "}"


def find_binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    found = found[-1] if found else shutil.which("initdb")
    return Path(found).parent if found else None


@pytest.fixture(scope="session")
def server():
    """A server that runs until the last test has ended."""
    binaries = find_binaries()
    if binaries is None:
        why = "PostgreSQL's server is not installed; 'make services' does that"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="lodestore-postgres-") as folder:
        server = Server(binaries, folder)
        yield server
        server.stop("immediate")


@pytest.fixture
def make_store(server, tmp_path):
    """Makes and applies a repository. The server is its connection ``warehouse``, unless there are other settings."""

    def make(definitions, settings=None, **connection):
        repo = tmp_path / "repo"
        repo.mkdir(exist_ok=True)
        settings = settings or f"connections: {{warehouse: {server.settings(**connection)}}}"
        (repo / "feature_store.yaml").write_text(f"project: demo\nregistry: data/registry.db\n{settings}\n")
        (repo / "features.yaml").write_text("version: 1\n" + definitions)
        store = FeatureStore(repo)
        store.apply()
        return store

    return make
