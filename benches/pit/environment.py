"""Python environments in the data folder: one for Lodestore and most peers, one for Feast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = {"peers": "requirements.txt", "feast": "requirements-feast.txt"}


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


def install_wheel(python: Path, wheel: Path) -> None:
    """Installs a wheel of Lodestore, unless it is the one that is there."""
    # By its place and time: a bench that reads all of it has used much memory, and then its children seem to, too.
    marker, known = python.parent.parent / "wheel", f"{wheel.absolute()} {wheel.stat().st_mtime_ns}"
    if not marker.exists() or marker.read_text() != known:
        install(python, "--force-reinstall", "--no-deps", wheel)
        marker.write_text(known)


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
