"""What the benches need beside themselves: two Python environments in the data folder, servers and load generators."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layouts import Layout

HERE = Path(__file__).resolve().parent
REQUIREMENTS = {"lodestore": "requirements.txt", "feast": "requirements-feast.txt"}
OHA = "1.16.0"
PACKAGES = {"redis-server": "redis-server", "wrk": "wrk", "nginx": "nginx-light"}
"""Programs, each with the Debian package that has it."""


def environment(data: Path, name: str) -> Path:
    """Returns the interpreter of an environment, which is made if it is missing or of other requirements."""
    requirements = HERE / REQUIREMENTS[name]
    folder = data / "environments" / name
    python = folder / "bin" / "python"
    marker = folder / "requirements.txt"
    if not marker.exists() or marker.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install(python, "--requirement", requirements)
        marker.write_text(requirements.read_text())
    return python


def lodestore(data: Path, wheel: Path | None) -> Path:
    """Returns the interpreter of Lodestore's environment, with a wheel: the one given, or the newest of dist/."""
    python = environment(data, "lodestore")
    wheel = wheel or newest_wheel()
    # By its place and time: a bench that reads all of it has used much memory, and then its children seem to, too.
    marker, known = python.parent.parent / "wheel", f"{wheel.absolute()} {wheel.stat().st_mtime_ns}"
    if not marker.exists() or marker.read_text() != known:
        install(python, "--force-reinstall", "--no-deps", wheel)
        marker.write_text(known)
    return python


def newest_wheel() -> Path:
    """Returns the newest wheel that was built."""
    wheels = sorted(HERE.parents[1].glob("dist/lodestore-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        sys.exit("there is no wheel in dist/: run `make wheel`, or name one with --wheel")
    return wheels[-1]


def install(python: Path, *what: str | Path) -> None:
    """Installs packages with pip."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)


def version(python: Path, package: str) -> str:
    """Returns the version of an installed package."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    return subprocess.run([python, "-c", code, package], check=True, capture_output=True, text=True).stdout.strip()


def program(name: str) -> str:
    """Returns the path of an installed program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        sys.exit(f"{name} is missing: install it, on Debian with `apt-get install {PACKAGES[name]}`")
    return path


def oha(data: Path) -> str:
    """Returns the path of the open-loop load generator, which is built with cargo if it is missing."""
    if found := shutil.which("oha"):
        return found
    root = data / "tools"
    if not (root / "bin" / "oha").exists():
        say("building oha, once; this takes some minutes")
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", root, "oha", "--version", OHA], check=True)
    return str(root / "bin" / "oha")


def stored(data: Path, python: Path, layout: Layout) -> Path:
    """Returns the folder of a layout's files, which are written if they are missing or others."""
    folder = data.absolute() / f"keys-{layout.keys}" / layout.name
    description, document = folder / "layout.json", json.dumps(layout.document())
    if not description.exists() or json.loads(description.read_text()) != json.loads(document):
        say(f"{layout.name}: data")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, HERE / "generate.py", folder, document], check=True)
    return folder


def say(text: str) -> None:
    """Tells people how far it has come."""
    print(text, file=sys.stderr, flush=True)
