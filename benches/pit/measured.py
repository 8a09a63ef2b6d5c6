"""What the measured scripts share. It imports little, as all it imports is measured too."""

from __future__ import annotations

import json
import os
import sys
import time


def read_case(folder: str | os.PathLike[str]) -> dict:
    """Returns what `case.json` says, with whole paths of the files."""
    with open(os.path.join(folder, "case.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        case = json.load(file)
    case["folder"] = os.fspath(folder)
    case["questions_file"] = os.path.join(folder, "questions.parquet")  # noqa: PTH118
    for view in case["views"]:
        view["file"] = os.path.join(folder, view["file"])  # noqa: PTH118
    return case


def run(training_set) -> None:
    """Computes a training set and prints how long that took, without the interpreter's start and imports.

    The command line is `CASE_FOLDER [--answer FILE] [--NAME VALUE]...`; names and values reach the script as a dict.
    """
    folder, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    answer = options.pop("--answer", None)
    case = read_case(folder)
    start = time.perf_counter()
    table = training_set(case, {name.removeprefix("--"): value for name, value in options.items()})
    seconds = time.perf_counter() - start
    if answer is not None:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, answer)
    print(json.dumps({"query_seconds": seconds}))
