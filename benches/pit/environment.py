"""Python environments in the data folder: one for Lodestore and most peers, one for Feast."""

from __future__ import annotations

import hashlib
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
    marker = python.parent.parent / "wheel.sha256"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if not marker.exists() or marker.read_text() != digest:
        install(python, "--force-reinstall", "--no-deps", wheel)
        marker.write_text(digest)


def install(python: Path, *what: str | Path) -> None:
    """Installs packages with pip."""
    subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)


def version(python: Path, package: str) -> str:
    """Returns the version of an installed package."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    return subprocess.run([python, "-c", code, package], check=True, capture_output=True, text=True).stdout.strip()
