"""Answers in files and folders of the file system."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lodestore.errors import AlreadyExistsError, InvalidError, UnsupportedError

if TYPE_CHECKING:
    from conftest import Tables

    from lodestore.retrieval_job import RetrievalJob


@pytest.fixture
def source(tables: Tables) -> Path:
    path = tables.folder / "source.parquet"
    pq.write_table(tables.rows(), path)
    return path


@pytest.fixture
def job(tables: Tables, source: Path) -> RetrievalJob:
    return tables.job(source)


def numbered(tables: Tables, source: Path, rows: int, groups: int) -> RetrievalJob:
    """A retrieval whose questions are numbered, and belong to groups at random."""
    random = numpy.random.default_rng(7)
    questions = {
        "driver_id": random.integers(0, 4, rows),
        "event_timestamp": numpy.full(rows, numpy.datetime64("2024-01-03", "us")),
        "group": random.integers(0, groups, rows),
        "number": numpy.arange(rows),
    }
    return tables.store(source).get_historical_features(pa.table(questions), ["stats:trips", "stats:city"])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_a_file_is_replaced(job, tmp_path):
    path = tmp_path / "new folder" / "out.parquet"
    for _ in range(2):
        assert job.to_parquet(path) == 112
        assert str(pq.read_table(path).to_pylist()) == str(job.to_arrow().to_pylist())
    assert files(path.parent) == ["out.parquet"]


def test_a_relative_path_starts_at_the_current_folder(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert job.to_csv("out.csv") == 112
    assert job.to_parquet(Path("folder")) == 112
    assert pyarrow.csv.read_csv(tmp_path / "out.csv").num_rows == 112
    assert files(tmp_path / "folder") == ["part-00000.parquet"]


def test_a_folder_with_partitions_is_read_back(tables, source, tmp_path):
    hours = list(range(60))
    questions = {"driver_id": [hour % 5 for hour in hours], "event_timestamp": [tables.at(hour) for hour in hours]}
    questions["created"] = questions["event_timestamp"]
    job = tables.store(source).get_historical_features(
        questions, ["stats:trips", "stats:rate", "stats:city", "stats:day"]
    )
    folder, file = tmp_path / "training", tmp_path / "training.parquet"
    assert job.to_parquet(folder, partition_by=["city", "day"]) == job.to_parquet(file) == 60
    assert pq.read_schema(folder / files(folder)[0]).names == [
        "driver_id",
        "event_timestamp",
        "created",
        "trips",
        "rate",
    ]
    assert tables.ask(folder) == tables.ask(file)


def test_every_row_is_in_the_file_of_its_partition_and_in_order(tables, source, tmp_path):
    job = numbered(tables, source, 200_000, 300)
    folder = tmp_path / "groups"
    assert job.to_parquet(folder, partition_by=["group"], max_rows_per_file=500) == 200_000
    assert len(list(folder.iterdir())) == 300
    answer = job.to_arrow()
    parts = []
    for group in range(300):
        paths = sorted((folder / f"group={group}").iterdir())
        tables_of_group = [pq.ParquetFile(path).read() for path in paths]
        assert all(0 < table.num_rows <= 500 for table in tables_of_group)
        part = pa.concat_tables(tables_of_group)
        parts.append(part.append_column("group", pa.array([group] * part.num_rows, pa.int64())))
    whole = pa.concat_tables(parts).sort_by("number").select(answer.column_names)
    assert whole.equals(answer.combine_chunks())


def test_a_partition_has_one_file_where_the_rows_fit(tables, source, tmp_path):
    job = numbered(tables, source, 200_000, 300)
    assert job.to_parquet(tmp_path / "groups", partition_by=["group"]) == 200_000
    assert len(files(tmp_path / "groups")) == 300


def test_files_of_a_folder_together_are_the_answer(tables, source, tmp_path):
    job = numbered(tables, source, 10_000, 3)
    assert job.to_parquet(tmp_path / "parts", max_rows_per_file=3_000) == 10_000
    paths = sorted((tmp_path / "parts").iterdir())
    assert [pq.read_metadata(path).num_rows for path in paths] == [3_000, 3_000, 3_000, 1_000]
    assert pa.concat_tables(map(pq.read_table, paths)).equals(job.to_arrow())


def test_an_answer_without_rows_has_its_columns(tables, source, tmp_path):
    job = numbered(tables, source, 0, 1)
    assert job.to_parquet(tmp_path / "a.parquet") == 0
    assert pq.read_schema(tmp_path / "a.parquet").equals(job.schema)
    assert job.to_csv(tmp_path / "a.csv") == 0
    assert (tmp_path / "a.csv").read_text() == "driver_id,event_timestamp,group,number,trips,city\n"
    assert job.to_parquet(tmp_path / "folder", partition_by=["group"]) == 0
    assert files(tmp_path / "folder") == ["group=__HIVE_DEFAULT_PARTITION__/part-00000.parquet"]


def test_nothing_is_overwritten_by_surprise(job, tmp_path):
    (tmp_path / "empty").mkdir()
    assert job.to_parquet(tmp_path / "empty") == 112
    with pytest.raises(AlreadyExistsError, match=r"empty' is not empty, 'part-00000.parquet' is in it"):
        job.to_parquet(tmp_path / "empty", partition_by=["city"])
    assert files(tmp_path / "empty") == ["part-00000.parquet"]
    (tmp_path / "a.parquet").mkdir()
    (tmp_path / "b").write_text("")
    with pytest.raises(InvalidError, match="is a folder"):
        job.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InvalidError, match="Not a directory"):
        job.to_parquet(tmp_path / "b")


def test_what_can_not_be_written_is_said_and_leaves_nothing(job, tmp_path):
    folder = tmp_path / "out"
    for wrong, says in [
        ({"partition_by": ["cty"]}, "'cty' in partition_by; did you mean 'city'"),
        ({"partition_by": ["city", "city"]}, "twice"),
        ({"max_rows_per_file": 0}, "room for a row"),
    ]:
        with pytest.raises(InvalidError, match=says):
            job.to_parquet(folder, **wrong)
    with pytest.raises(InvalidError, match=r"\.csv' has the ending of CSV"):
        job.to_parquet(tmp_path / "out.csv")
    with pytest.raises(InvalidError, match="one file"):
        job.to_parquet(tmp_path / "out.parquet", max_rows_per_file=10)
    with pytest.raises(UnsupportedError, match=r"ftp://"):
        job.to_parquet("ftp://host/out.parquet")
    with pytest.raises(InvalidError, match="'error' or 'append'"):
        job.to_delta(folder, mode="overwrite")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_a_delta_table_is_written_and_appended_to(tables, source, tmp_path):
    job = numbered(tables, source, 1_000, 3)
    assert job.to_delta(tmp_path / "t", partition_by=["group"]) == 1_000
    with pytest.raises(AlreadyExistsError, match="append to it"):
        job.to_delta(tmp_path / "t")
    assert job.to_delta(tmp_path / "t", mode="append") == 1_000
    assert (tmp_path / "t" / "_delta_log" / f"{1:020}.json").exists()


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_ctrl_c_leaves_nothing(tables, source, tmp_path, name):
    job = numbered(tables, source, 3_000_000, 50)
    folder = tmp_path / "here"
    stop = threading.Event()

    def interrupt_once_it_is_written() -> None:
        while not stop.wait(0.005):
            if folder.exists() and any(folder.iterdir()):
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=interrupt_once_it_is_written)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            job.to_parquet(folder / name, partition_by=None if "." in name else ["group"])
    finally:
        stop.set()
        watcher.join()
    deadline = threading.Event()
    for _ in range(100):
        if not list(folder.iterdir()):
            break
        deadline.wait(0.05)
    assert list(folder.iterdir()) == []
