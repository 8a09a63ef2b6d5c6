"""What is measured: each system is a script, in one or more forms of which the fastest counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A way to compute a training set, or a floor below all ways."""

    name: str
    script: str
    package: str
    """The package whose version is reported."""
    environment: str = "peers"
    forms: tuple[str, ...] = ("",)
    """Options of the script. Each form is tried on a case; the fastest is the one that is measured there."""
    is_floor: bool = False


LODESTORE = "lodestore"
"""The name of our own system: every other one that is no floor is a peer."""

SYSTEMS = {
    system.name: system
    for system in (
        System(LODESTORE, "lodestore_run.py", "lodestore", forms=("--frame path",)),
        System(
            "duckdb_asof",
            "duckdb_asof.py",
            "duckdb",
            forms=("--features early --keys all", "--features late --keys all", "--features late --keys asked"),
        ),
        System(
            "duckdb_keys_first",
            "duckdb_keys_first.py",
            "duckdb",
            forms=("--winners asof", "--winners pairs"),
        ),
        System(
            "polars",
            "polars_run.py",
            "polars",
            forms=tuple(
                f"--engine {engine} --features {features} --keys {keys}"
                for engine in ("streaming", "in-memory")
                for features, keys in (("early", "all"), ("late", "all"), ("late", "asked"))
            ),
        ),
        System("feast_duckdb", "feast_run.py", "feast", "feast", forms=("--store duckdb",)),
        System("feast_default", "feast_run.py", "feast", "feast", forms=("--store file",)),
        System("floor_duckdb", "floor_duckdb.py", "duckdb", is_floor=True),
        System("floor_pyarrow", "floor_pyarrow.py", "pyarrow", is_floor=True),
    )
}
