"""A tiny feature repository, for tests and for the examples of docstrings."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lodestore import FeatureStore

SETTINGS = "project: demo\nregistry: data/registry.db\n"

FEATURES = """\
from lodestore import Entity, FeatureService, FeatureView, Field, FileSource, PushSource
from lodestore.types import Float64, Int64, String

driver = Entity(name="driver", join_keys=[("driver_id", Int64)])
place = Entity(name="place", join_keys=[("place_id", String)])

driver_stats_source = FileSource(
    name="driver_stats_source",
    path="data/driver_stats.csv",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
schema = [Field(name="trips", dtype=Int64, default=0), Field(name="conv_rate", dtype=Float64)]

driver_stats = FeatureView(name="driver_stats", entities=[driver], schema=schema, source=driver_stats_source)
driver_live = FeatureView(
    name="driver_live",
    entities=[driver],
    schema=schema,
    source=PushSource(name="driver_push", batch_source=driver_stats_source),
)
places = FeatureView(
    name="places",
    entities=[place],
    schema=[Field(name="population", dtype=Int64)],
    source=FileSource(name="places_source", path="data/places.csv"),
)
driver_model = FeatureService(name="driver_model", features=[driver_stats[["conv_rate", "trips"]]])
trip_model = FeatureService(
    name="trip_model",
    features=[
        places.with_name("origin").with_join_key_map({"place_id": "origin_id"}),
        places.with_name("destination").with_join_key_map({"place_id": "destination_id"}),
    ],
)
"""

DRIVER_STATS = """\
driver_id,event_timestamp,created,trips,conv_rate
1001,2024-01-01T10:00:00Z,2024-01-01T10:05:00Z,10,0.5
1001,2024-01-01T11:00:00Z,2024-01-01T11:05:00Z,12,
1002,2024-01-01T10:00:00Z,2024-01-01T10:05:00Z,7,0.25
"""

PLACES = "place_id,population\nbern,134000\nrome,2800000\n"


@pytest.fixture
def repo_path(tmp_path: Path) -> Path:
    """A repository of two sources, three views and two services; nothing is applied."""
    repo = tmp_path / "repo"
    (repo / "data").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS)
    (repo / "features.py").write_text(FEATURES)
    (repo / "data" / "driver_stats.csv").write_text(DRIVER_STATS)
    (repo / "data" / "places.csv").write_text(PLACES)
    return repo


@pytest.fixture
def applied(repo_path: Path) -> FeatureStore:
    """The store of the repository, applied."""
    from lodestore import FeatureStore

    store = FeatureStore(repo_path)
    store.apply()
    return store


@pytest.fixture
def store(applied: FeatureStore) -> FeatureStore:
    """The store of the repository, applied, with `driver_stats` and `places` materialised."""
    applied.materialize(datetime(2024, 1, 1), datetime(2024, 1, 2), ["driver_stats", "places"])
    return applied


@pytest.fixture(autouse=True)
def _example_names(request: pytest.FixtureRequest, doctest_namespace: dict[str, object]) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        source = "".join(example.source for example in request.node.dtest.examples)
        for name in ("store", "repo_path"):
            if re.search(rf"\b{name}[.)]", source):
                doctest_namespace[name] = request.getfixturevalue(name)
