"""Loads the Python files of a feature repository: ``python -m lodestore._repo <folder>`` prints its document.

Every ``*.py`` below the folder is imported, with the folder first on ``sys.path``: ``features/drivers.py`` is the
module ``features.drivers``. Left out are hidden folders, ``__pycache__``, virtual environments, tests (``test_*.py``,
``*_test.py``, ``conftest.py`` and folders called ``tests``), and what the glob patterns of ``.lodestoreignore`` or
``.feastignore`` match. The definitions are the objects that stand in the modules' globals, alone or in a list, tuple or
dict, and what they were given as objects. What the modules print goes to standard error.
"""

from __future__ import annotations

import importlib
import os
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from lodestore._definition import Definition
from lodestore._document import document
from lodestore.errors import AlreadyExistsError, LodestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["RepoError", "load_repo", "main"]

_IGNORE_FILES = (".lodestoreignore", ".feastignore")
_TESTS = ("test_*.py", "*_test.py", "conftest.py")


class RepoError(Exception):
    """A file of the repository that can't be loaded; the message starts with the file and line."""


def load_repo(folder: Path) -> str:
    """Returns the JSON document of a repository's Python files.

    Parameters
    ----------
    folder : Path
        The feature repository.

    Returns
    -------
    str
        The document.

    Raises
    ------
    RepoError
        If a file can't be loaded, or two different objects have one kind and name.
    """
    folder = folder.resolve()
    sys.path.insert(0, str(folder))
    modules = [_imported(folder, file) for file in python_files(folder)]
    try:
        return document(definition for module in modules for definition in _definitions(module))
    except AlreadyExistsError as error:
        raise RepoError(str(error).replace(f"{folder}{os.sep}", "")) from error


def python_files(folder: Path) -> Iterator[Path]:
    """Yields the Python files of a repository that are loaded, in the order of their paths."""
    ignored = _ignored(folder)
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if here / name not in ignored and not _is_left_out(here / name))
        for name in sorted(files):
            is_test = any(fnmatch(name, pattern) for pattern in _TESTS)
            is_folder_itself = here == folder and name == "__init__.py"
            if name.endswith(".py") and not is_test and not is_folder_itself and here / name not in ignored:
                yield here / name


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in ("__pycache__", "tests") or (folder / "pyvenv.cfg").exists()


def _ignored(folder: Path) -> set[Path]:
    ignored: set[Path] = set()
    for file in (folder / name for name in _IGNORE_FILES):
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        patterns = (line.partition("#")[0].strip().strip("/") for line in lines)
        ignored.update(path for pattern in patterns if pattern for path in folder.glob(pattern))
    return ignored


def _imported(folder: Path, file: Path) -> ModuleType:
    parts = file.relative_to(folder).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise RepoError(_located(folder, file, error)) from error
    loaded = getattr(module, "__file__", None)
    if loaded is None or not file.samefile(loaded):
        shown = file.relative_to(folder)
        raise RepoError(f"{shown}:1: another module is called '{name}' ({loaded or 'built in'}); rename the file")
    return module


def _located(folder: Path, file: Path, error: BaseException) -> str:
    """Returns a message that starts with the innermost place in the repository where the error came from."""
    place, line = file, 1
    if isinstance(error, SyntaxError) and error.filename:
        place, line = Path(error.filename), error.lineno or 1
    else:
        trace = error.__traceback__
        while trace is not None:
            frame = Path(trace.tb_frame.f_code.co_filename)
            if frame.is_relative_to(folder):
                place, line = frame, trace.tb_lineno
            trace = trace.tb_next
    shown = place.relative_to(folder) if place.is_relative_to(folder) else place
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, SystemExit):
        said = "the file ends the process; list it in .lodestoreignore if it defines no features"
    kind = "" if isinstance(error, LodestoreError) else f"{type(error).__name__}: "
    return f"{shown}:{line}: {kind}{said}"


def _definitions(module: ModuleType) -> Iterator[Definition]:
    for value in vars(module).values():
        items = value.values() if type(value) is dict else value if type(value) in (list, tuple) else (value,)
        yield from (item for item in items if isinstance(item, Definition))


def main(arguments: list[str]) -> int:
    """Prints the document of a repository; returns the exit code: 0, 1 for a file at fault, 2 for wrong use."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m lodestore._repo <folder of a feature repository>", file=sys.stderr)
        return 2
    # Standard output is for the document alone, whoever prints: Python code, or a library below it.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        text = load_repo(Path(arguments[0]))
    except RepoError as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        return 1
    with output:
        print(text, file=output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
