"""What the measured scripts share. It imports little, as all it imports is measured too."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_case(folder: Path) -> dict:
    """Returns the case of a folder."""
    return json.loads((folder / "case.json").read_text())


def finish(table, start: float) -> None:
    """Writes the answer where it is wanted, and prints how long it took."""
    seconds = time.perf_counter() - start
    if len(sys.argv) > 2 and sys.argv[-1].endswith(".parquet"):
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, sys.argv[-1])
    print(json.dumps({"query_seconds": seconds}))
