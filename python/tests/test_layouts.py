"""The same rows in files of every layout give the same training set, also within little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodestore import Entity, FeatureStore, FeatureView, FileSource

if TYPE_CHECKING:
    from pathlib import Path

DAY_US = 86_400_000_000


def times(rng: np.random.Generator, count: int) -> pa.Array:
    return pa.array(rng.integers(0, 30 * DAY_US, count), pa.timestamp("us", tz="UTC"))


def rows(count: int, keys: int) -> pa.Table:
    rng = np.random.default_rng(7)
    value = rng.standard_normal(count)
    return pa.table({
        "driver_id": rng.integers(0, keys, count),
        "event_timestamp": times(rng, count),
        "rating": pa.array(value, mask=rng.random(count) < 0.1),
        "city": pa.array(np.char.add("city-", (value * 10).astype(int).astype(str))),
        "fare": pa.array([Decimal(int(v * 100)).scaleb(-2) for v in value], pa.decimal128(12, 2)),
        "stops": pa.array([list(range(int(abs(v) * 3))) if v > -1 else None for v in value], pa.list_(pa.int64())),
        "place": pa.array([{"x": v, "name": "n"} if v < 1 else None for v in value]),
    })  # fmt: skip


def questions(count: int, keys: int) -> pa.Table:
    rng = np.random.default_rng(8)
    return pa.table({"driver_id": rng.integers(0, keys + 5, count), "event_timestamp": times(rng, count)})


def training_set(folder: Path, data: Path, entities: pa.Table, offline: str = "") -> pa.Table:
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(f"project: layouts\n{offline}")
    store = FeatureStore(repo_path=folder)
    driver = Entity(name="driver", join_keys=["driver_id"])
    source = FileSource(name="rides", path=str(data), timestamp_field="event_timestamp")
    view = FeatureView(name="rides", entities=[driver], source=source)
    store.apply([driver, source, view])
    features = [f"rides:{name}" for name in ("rating", "city", "fare", "stops", "place")]
    return store.get_historical_features(entity_df=entities, features=features).to_arrow()


LAYOUTS = {
    "one_huge_row_group": {"row_group_size": 1 << 30},
    "small_row_groups": {"row_group_size": 700},
    "no_statistics": {"row_group_size": 5_000, "write_statistics": False},
    "plain": {"use_dictionary": False, "compression": "none"},
    "page_index": {"write_page_index": True, "data_page_size": 4096},
    "v2_pages": {"data_page_version": "2.0", "compression": "zstd"},
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, pa.Table, pa.Table]:
    folder = tmp_path_factory.mktemp("reference")
    table, asked = rows(60_000, 900), questions(9_000, 900)
    pq.write_table(table, folder / "rides.parquet")
    return table, asked, training_set(folder / "repo", folder / "rides.parquet", asked)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_one_file(tmp_path: Path, layout: str, reference: tuple[pa.Table, pa.Table, pa.Table]) -> None:
    table, asked, expected = reference
    pq.write_table(table, tmp_path / "rides.parquet", **LAYOUTS[layout])
    assert training_set(tmp_path / "repo", tmp_path / "rides.parquet", asked).equals(expected)


def test_many_small_files(tmp_path: Path, reference: tuple[pa.Table, pa.Table, pa.Table]) -> None:
    table, asked, expected = reference
    data = tmp_path / "rides"
    data.mkdir()
    for first in range(0, table.num_rows, 40):
        pq.write_table(table.slice(first, 40), data / f"{first:06}.parquet")
    assert training_set(tmp_path / "repo", data, asked).equals(expected)


def test_rows_sorted_by_time_prune_row_groups(tmp_path: Path) -> None:
    table = rows(50_000, 900).sort_by("event_timestamp")
    pq.write_table(table, tmp_path / "rides.parquet", row_group_size=1_000)
    asked = questions(500, 900)
    early = asked.filter(pa.compute.less(asked["event_timestamp"].cast(pa.int64()), 3 * DAY_US))
    repo = tmp_path / "repo"
    training_set(repo, tmp_path / "rides.parquet", early)
    store = FeatureStore(repo_path=repo)
    told = store.get_historical_features(entity_df=early, features=["rides:rating"]).explain()
    assert "pruned" in told
    assert early.num_rows > 0


LIMITED = """
import json, sys
from lodestore import FeatureStore
repo, entities, answer = sys.argv[1:]
store = FeatureStore(repo_path=repo)
features = [f"wide:f{i}" for i in range(12)]
job = store.get_historical_features(entity_df=entities, features=features)
rows = job.to_parquet(answer)
# Not `ru_maxrss`, in which the process that started this one is counted as well.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"rows": rows, "peak_kb": int(peak.split()[1])}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is told in kilobytes on Linux")
def test_a_memory_limit_bounds_memory_and_changes_no_byte(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    count, asked = 2_000_000, 1_500_000
    columns = {f"f{i}": rng.standard_normal(count) for i in range(12)}
    table = pa.table({"driver_id": rng.integers(0, 50_000, count), "event_timestamp": times(rng, count), **columns})
    pq.write_table(table, tmp_path / "wide.parquet", row_group_size=250_000)
    entities = tmp_path / "entities.parquet"
    pq.write_table(questions(asked, 50_000), entities)
    answers = []
    for limit in ("", ", memory_limit: 500MB"):
        repo = tmp_path / f"repo{len(answers)}"
        repo.mkdir()
        text = f"project: wide\noffline_store: {{type: datafusion, threads: 2{limit}}}\n"
        (repo / "feature_store.yaml").write_text(text)
        store = FeatureStore(repo_path=repo)
        driver = Entity(name="driver", join_keys=["driver_id"])
        source = FileSource(name="wide", path=str(tmp_path / "wide.parquet"), timestamp_field="event_timestamp")
        store.apply([driver, source, FeatureView(name="wide", entities=[driver], source=source)])
        answer = tmp_path / f"answer{len(answers)}.parquet"
        command = [sys.executable, "-c", LIMITED, str(repo), str(entities), str(answer)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        assert told["rows"] == asked
        answers.append((pq.read_table(answer), told["peak_kb"]))
    (free, _), (limited, peak_kb) = answers
    assert limited.equals(free)
    # What decoders and writers allocate is estimated, not counted: the limit may be passed by a fifth.
    assert peak_kb * 1024 <= 600_000_000
