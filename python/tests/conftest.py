"""Tables to read in tests: the same rows in any format must give the same answers."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodestore import FeatureStore

if TYPE_CHECKING:
    from pathlib import Path

    from lodestore.retrieval_job import RetrievalJob

FEATURES = {"trips": "int64", "rate": "float64", "city": "string", "day": "date"}


class Tables:
    """Repositories of one view each, that reads a table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = itertools.count()

    @staticmethod
    def at(hour: int) -> datetime:
        return datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(hours=hour)

    @staticmethod
    def rows(drivers: range = range(4), hours: range = range(0, 48, 6), trips: int = 0) -> pa.Table:
        """A row for each driver and hour, with nulls, a NaN and texts that paths can't hold as they are."""
        pairs = list(itertools.product(drivers, hours))
        cities = ["bern", "a b/c=d%é", None, "x:y"]
        return pa.table(
            {
                "driver_id": pa.array([driver for driver, _ in pairs], pa.int64()),
                "event_timestamp": pa.array([Tables.at(hour) for _, hour in pairs], pa.timestamp("us", "UTC")),
                "created": pa.array([Tables.at(hour + driver) for driver, hour in pairs], pa.timestamp("us", "UTC")),
                "trips": pa.array(
                    [None if hour == 12 else trips + 10 * hour + driver for driver, hour in pairs], pa.int64()
                ),
                "rate": pa.array([float("nan") if hour == 18 else hour / (driver + 1) for driver, hour in pairs]),
                "city": pa.array([cities[driver % 4] for driver, _ in pairs], pa.string()),
                "day": pa.array([date(2024, 1, 1 + hour // 24) for _, hour in pairs]),
            }
        )

    def store(self, path: object, types: dict[str, str] | None = None, **source: Any) -> FeatureStore:
        """The applied store of a repository whose view has features of these types."""
        repo = self.folder / f"repo{next(self.count)}"
        repo.mkdir()
        source = {"created_timestamp_column": "created", **source}
        options = "".join(f", {name}: {value!r}" for name, value in source.items())
        schema = ", ".join(f"{{name: {name}, type: '{of}'}}" for name, of in (types or FEATURES).items())
        (repo / "feature_store.yaml").write_text("project: lake\nregistry: data/registry.db\n")
        (repo / "definitions.yaml").write_text(
            "version: 1\n"
            "entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]\n"
            f"data_sources: [{{name: table, type: file, path: '{path}', timestamp_field: event_timestamp"
            f"{options}}}]\n"
            f"feature_views: [{{name: stats, entities: [driver], source: table, schema: [{schema}]}}]\n"
        )
        store = FeatureStore(repo)
        store.apply()
        return store

    def job(self, path: object, types: dict[str, str] | None = None, **source: Any) -> RetrievalJob:
        """The features of every driver at times before, within and after those of the rows."""
        pairs = list(itertools.product(range(-1, 6), range(-3, 60, 4)))
        questions = {
            "driver_id": [driver for driver, _ in pairs],
            "event_timestamp": [self.at(hour) for _, hour in pairs],
        }
        features = [f"stats:{name}" for name in types or FEATURES]
        return self.store(path, types, **source).get_historical_features(questions, features)

    def ask(self, path: object, types: dict[str, str] | None = None, **source: Any) -> list[str]:
        """The answer as text: its columns and types, then each row, in which NaN is like NaN."""
        answer = self.job(path, types, **source).to_arrow()
        return [str(answer.schema), *map(str, answer.to_pylist())]

    def expected(self, table: pa.Table, types: dict[str, str] | None = None) -> list[str]:
        """What the same rows in a Parquet file answer."""
        file = self.folder / f"plain{next(self.count)}.parquet"
        pq.write_table(table, file)
        return self.ask(file, types)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)
