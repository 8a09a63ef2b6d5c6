"""Importing must be fast and need nothing."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import lodestore

HEAVY = ["pandas", "pyarrow", "polars", "numpy", "asyncio", "lodestore._lodestore", "importlib.metadata"]


def python(code):
    environment = {"PYTHONPATH": str(Path(lodestore.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_importing_imports_nothing_heavy():
    loaded = python(f"import sys, lodestore; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("code", ["import lodestore", "from lodestore import FeatureStore"])
def test_importing_takes_less_than_100_ms(code):
    def seconds():
        # Of the processor: other work on the machine doesn't count.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.1


def test_the_store_and_the_version_come_with_the_engine_alone():
    code = (
        "import sys, lodestore; assert lodestore.FeatureStore.__name__ == 'FeatureStore'; assert lodestore.__version__;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert python(code).strip() == "['lodestore._lodestore']"


def test_every_public_name_can_be_imported():
    python("from lodestore import *\nassert FeatureStore and RetrievalJob and SavedDatasetFileStorage and PushMode")


def test_an_unknown_name_is_told():
    with pytest.raises(AttributeError, match="module 'lodestore' has no attribute 'BigQuerySource'"):
        _ = lodestore.BigQuerySource
