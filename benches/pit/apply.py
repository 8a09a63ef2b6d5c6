"""Sets up the feature repositories of a case: `apply.py CASE_FOLDER lodestore` or `feast`. One text defines both."""

from __future__ import annotations

import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from measured import read_case

REPOSITORIES = {
    "lodestore": {"lodestore": "project: bench\n"},
    "feast": {
        f"feast_{store}": f"project: bench\nprovider: local\nregistry: registry.db\noffline_store: {{type: {store}}}\n"
        for store in ("duckdb", "file")
    },
}
"""The repositories of each package, and their settings."""


def definitions(package, case: dict) -> list:
    """Returns the entities and feature views of a case, made by `feast` or `lodestore`."""
    types = import_module(f"{package.__name__}.types")
    by_name = {
        "bool": types.Bool,
        "float64": types.Float64,
        "int32": types.Int32,
        "int64": types.Int64,
        "string": types.String,
    }
    key_type = {"int64": package.ValueType.INT64, "string": package.ValueType.STRING}[case["key_type"]]
    keys = dict.fromkeys(key for view in case["views"] for key in view["keys"])
    entities = {key: package.Entity(name=key, join_keys=[key], value_type=key_type) for key in keys}
    views = [
        package.FeatureView(
            name=view["name"],
            entities=[entities[key] for key in view["keys"]],
            ttl=timedelta(seconds=case["ttl_seconds"] or 0),
            schema=[package.Field(name=name, dtype=by_name[kind]) for name, kind in view["features"].items()],
            source=package.FileSource(
                name=f"{view['name']}_file",
                path=view["file"],
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
            ),
        )
        for view in case["views"]
    ]
    return [*entities.values(), *views]


def apply(name: str, case: dict) -> None:
    """Writes and applies the repositories of a package."""
    package = import_module(name)
    for repository, settings in REPOSITORIES[name].items():
        folder = Path(case["folder"], repository)
        folder.mkdir()
        (folder / "feature_store.yaml").write_text(settings)
        package.FeatureStore(repo_path=folder).apply(definitions(package, case))


if __name__ == "__main__":
    apply(sys.argv[2], read_case(Path(sys.argv[1]).absolute()))
