"""Writes a training set with a memory limit: `memory_run.py FOLDER LIMIT ANSWER`. The limit `none` is none."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lodestore import Entity, FeatureStore, FeatureView, FileSource

folder, limit, answer = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
repository = folder / f"limit-{limit}"
repository.mkdir(exist_ok=True)
setting = "" if limit == "none" else f", memory_limit: {limit}"
settings = f"project: bench\noffline_store: {{type: datafusion, threads: 2{setting}}}\n"
(repository / "feature_store.yaml").write_text(settings)
store = FeatureStore(repo_path=repository)
driver = Entity(name="driver", join_keys=["driver_id"])
rows = FileSource(
    name="rows",
    path=str(folder / "rows.parquet"),
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
store.apply([driver, rows, FeatureView(name="rows", entities=[driver], source=rows)])
start = time.perf_counter()
job = store.get_historical_features(folder / "questions.parquet", [f"rows:f{i}" for i in range(6)])
job.to_parquet(answer)
print(json.dumps({"query_seconds": time.perf_counter() - start}))
