"""Lodestore: `lodestore_run.py FOLDER [ANSWER]`, with the repository that it makes there if it is missing."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

from lodestore import Aggregation, Entity, FeatureStore, FeatureView, FileSource

from cases import WINDOWS, column
from shared import finish, read_case


def repository(folder: Path, case: dict) -> Path:
    """Returns the feature repository of a case."""
    repo = folder / "lodestore"
    if repo.exists():
        return repo
    repo.mkdir()
    (repo / "feature_store.yaml").write_text("project: bench\n")
    of_function = {"stddev": "stddev_samp"}
    aggregations = [
        Aggregation(
            name=column(function, window),
            column="merchant" if "distinct" in function else "amount",
            function=of_function.get(function, function),
            time_window=timedelta(seconds=WINDOWS[window]),
            slide_interval=timedelta(0),
        )
        for window in case["windows"]
        for function in case["functions"]
    ]
    user = Entity(name="user", join_keys=["user_id"])
    events = FileSource(name="events", path=str(folder / "events.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(name="w", entities=[user], source=events, aggregations=aggregations, online=False)
    FeatureStore(repo_path=repo).apply([user, events, view])
    return repo


folder = Path(sys.argv[1])
case = read_case(folder)
repo = repository(folder, case)
start = time.perf_counter()
names = [f"w:{column(function, window)}" for window in case["windows"] for function in case["functions"]]
job = FeatureStore(repo_path=repo).get_historical_features(entity_df=folder / "questions.parquet", features=names)
finish(job.to_arrow(), start)
