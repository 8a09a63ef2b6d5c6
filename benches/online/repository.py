"""Sets up a feature repository and fills its online store: `repository.py LAYOUT_FOLDER REPOSITORY PACKAGE [SERVICES]`.

One text defines both packages. `SERVICES` are numbers with commas: Feast gets a service of so many features for each,
precomputed. Prints the seconds that materialising took, wall and CPU.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path

from layouts import KEY, Layout

START = datetime(2000, 1, 1, tzinfo=timezone.utc)
END = datetime(2026, 1, 1, tzinfo=timezone.utc)


def views(package, layout: dict, folder: Path) -> list:
    """Returns the feature views of a layout."""
    types = import_module(f"{package.__name__}.types")
    by_name = {"float64": types.Float64, "int64": types.Int64, "string": types.String}
    entity = package.Entity(name="user", join_keys=[KEY], value_type=package.ValueType.INT64)
    return [
        entity,
        *(
            package.FeatureView(
                name=view["name"],
                entities=[entity],
                ttl=timedelta(0),
                schema=[package.Field(name=KEY, dtype=types.Int64)]
                + [package.Field(name=name, dtype=by_name[kind]) for name, kind in view["features"].items()],
                source=package.FileSource(
                    name=f"{view['name']}_file",
                    path=str(folder / f"{view['name']}.parquet"),
                    timestamp_field="event_timestamp",
                ),
            )
            for view in layout["view_documents"]
        ),
    ]


def services(package, layout: dict, defined: list, counts: list[int]) -> list:
    """Returns a precomputed service of the first so many features, for each count."""
    shape = Layout(layout["name"], layout["views"], layout["features"], layout["keys"])
    by_name = {view.name: view for view in defined[1:]}
    made = []
    for count in counts:
        wanted: dict[str, list[str]] = {}
        for reference in shape.references(count):
            view, feature = reference.split(":")
            wanted.setdefault(view, []).append(feature)
        projections = [by_name[view][features] for view, features in wanted.items()]
        made.append(package.FeatureService(name=f"features_{count}", features=projections, precompute_online=True))
    return made


def main() -> None:
    """Applies and materialises."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Feast prints.
    folder, repository, name = Path(sys.argv[1]).absolute(), sys.argv[2], sys.argv[3]
    counts = [int(count) for count in sys.argv[4].split(",")] if len(sys.argv) > 4 else []
    layout = json.loads((folder / "layout.json").read_text())
    package = import_module(name)
    store = package.FeatureStore(repo_path=repository)
    defined = views(package, layout, folder)
    store.apply([*defined, *services(package, layout, defined, counts)])
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    store.materialize(START, END)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    took = {"seconds": seconds, "cpu_seconds": cpu, "peak_rss_mb": after.ru_maxrss * unit / 1e6}
    print(json.dumps(took), file=answers)


if __name__ == "__main__":
    main()
