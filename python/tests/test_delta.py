"""Delta Lake tables as sources: what other writers wrote, as plain Parquet would answer."""

import json
import os
import shutil
import struct
import zlib
from datetime import datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyroaring import BitMap

from lodestore.errors import AlreadyExistsError, InvalidError, LodestoreError, NotFoundError, UnsupportedError


def commit(path, version, *actions):
    log = path / "_delta_log" / f"{version:020}.json"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))


def actions(path, version):
    return [json.loads(line) for line in (path / "_delta_log" / f"{version:020}.json").read_text().splitlines()]


def metadata(schema, configuration=None, partitions=()):
    fields = [{"name": name, "type": of, "nullable": True, "metadata": of_file or {}} for name, of, of_file in schema]
    return {
        "metaData": {
            "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": list(partitions),
            "configuration": configuration or {},
        }
    }


def protocol(*features):
    both = {"readerFeatures": list(features), "writerFeatures": list(features)}
    return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **both}}


def added(path, name, table, **more):
    path.mkdir(exist_ok=True)
    pq.write_table(table, path / name)
    size = (path / name).stat().st_size
    return {
        "add": {"path": name, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True, **more}
    }


COLUMNS = [
    ("driver_id", "long", None),
    ("event_timestamp", "timestamp", None),
    ("created", "timestamp", None),
    ("trips", "long", None),
    ("rate", "double", None),
    ("city", "string", None),
    ("day", "date", None),
]


def test_a_table_answers_as_its_rows_in_parquet_do(tables, tmp_path):
    path = tmp_path / "a table"
    write_deltalake(path, tables.rows())
    write_deltalake(path, tables.rows(trips=1000).slice(5, 9), mode="append")
    everything = pa.concat_tables([tables.rows(), tables.rows(trips=1000).slice(5, 9)])
    assert tables.ask(path, format="delta") == tables.expected(everything)


def test_values_of_every_type_come_out_as_they_went_in(tables, tmp_path):
    table = tables.rows(hours=range(2))
    count = table.num_rows
    values = {
        "flag": ("bool", pa.array([True, None] * (count // 2))),
        "small": ("int32", pa.array(range(count), pa.int8())),
        "single": ("float32", pa.array([0.1 * i for i in range(count)], pa.float32())),
        "price": ("decimal(10, 2)", pa.array([Decimal(i) / 4 for i in range(count)], pa.decimal128(10, 2))),
        "raw": ("bytes", pa.array([bytes([i, 0]) for i in range(count)])),
        "wall": ("timestamp", pa.array([datetime(2020, 1, 1, i) for i in range(count)], pa.timestamp("us"))),
        "tags": ("list<string>", pa.array([[], None, ["a", None], ["b"]] * (count // 4))),
        "pos": ("struct<x: int64, y: string>", pa.array([{"x": i, "y": None} for i in range(count)])),
        "sums": ("map<string, int64>", pa.array([[("k", i)] for i in range(count)], pa.map_(pa.string(), pa.int64()))),
    }
    for name, (_, array) in values.items():
        table = table.append_column(name, array)
    write_deltalake(tmp_path / "t", table)
    types = {name: of for name, (of, _) in values.items()}
    assert tables.ask(tmp_path / "t", types, format="delta") == tables.expected(table, types)


def test_partition_values_have_the_types_of_their_columns(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows(), partition_by=["city", "day", "driver_id"])
    assert tables.ask(tmp_path / "t", format="delta") == tables.expected(tables.rows())


def test_an_old_version_is_read_by_its_number_and_by_its_time(tables, tmp_path):
    path = tmp_path / "t"
    for version in range(3):
        write_deltalake(path, tables.rows(trips=1000 * version), mode="overwrite")
        modified = tables.at(version).timestamp()
        os.utime(path / "_delta_log" / f"{version:020}.json", (modified, modified))
    first, second, third = (tables.expected(tables.rows(trips=1000 * version)) for version in range(3))
    assert tables.ask(path, format="delta") == third
    assert tables.ask(path, format="delta", version=0) == first
    assert tables.ask(path, format="delta", version=1) == second
    assert tables.ask(path, format="delta", timestamp="2024-01-01T01:00:00Z") == second
    assert tables.ask(path, format="delta", timestamp="2024-01-01T01:59:59.999999Z") == second
    assert tables.ask(path, format="delta", timestamp="2024-02-01T00:00:00Z") == third
    with pytest.raises(NotFoundError, match=r"no version 3; it has versions 0 to 2"):
        tables.ask(path, format="delta", version=3)
    with pytest.raises(NotFoundError, match=r"no version -1; it has versions 0 to 2"):
        tables.ask(path, format="delta", version=-1)
    with pytest.raises(NotFoundError, match=r"its first version is of 2024-01-01T00:00:00Z"):
        tables.ask(path, format="delta", timestamp="2023-12-31T23:59:59Z")


def test_times_of_commits_come_from_the_log_where_it_has_them(tables, tmp_path):
    path = tmp_path / "t"
    configuration = {"delta.enableInCommitTimestamps": "true"}
    for version in range(2):
        millis = int(tables.at(version).timestamp() * 1000)
        info = {"commitInfo": {"inCommitTimestamp": millis, "timestamp": 0, "operation": "WRITE"}}
        first = [protocol("inCommitTimestamp"), metadata(COLUMNS, configuration)] if version == 0 else []
        if first:
            first[0]["protocol"].update(readerFeatures=[])
        commit(path, version, info, *first, added(path, f"{version}.parquet", tables.rows(trips=1000 * version)))
    answer = tables.ask(path, format="delta", timestamp="2024-01-01T00:30:00Z")
    assert answer == tables.expected(tables.rows())


def test_explain_and_fingerprint_tell_the_version(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows())
    write_deltalake(tmp_path / "t", tables.rows(), mode="append")
    assert "delta version 1" in tables.job(tmp_path / "t", format="delta").explain()
    assert "delta version 0" in tables.job(tmp_path / "t", format="delta", version=0).explain()


def test_deleted_rows_are_not_read(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows())
    DeltaTable(tmp_path / "t").delete("driver_id = 2 or trips > 200")
    kept = pc.field("driver_id") != 2
    few = tables.rows().filter(kept).filter(pc.is_null(pc.field("trips")) | (pc.field("trips") <= 200))
    assert tables.ask(tmp_path / "t", format="delta") == tables.expected(few)


def bitmap(deleted):
    """A deletion vector: the bitmaps of each 2^32 rows, framed by their length and checksum."""
    parts = {}
    for row in deleted:
        parts.setdefault(row >> 32, []).append(row & 0xFFFFFFFF)
    data = struct.pack("<Q", len(parts))
    for high, low in sorted(parts.items()):
        data += struct.pack("<I", high) + BitMap(low).serialize()
    data = struct.pack("<I", 1681511377) + data
    return struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))


@pytest.mark.parametrize("rows_in_group", [7, 1_000_000])
def test_rows_in_deletion_vectors_are_not_read(tables, tmp_path, rows_in_group):
    path, table = tmp_path / "t", tables.rows()
    path.mkdir()
    pq.write_table(table, path / "f.parquet", row_group_size=rows_in_group)
    deleted = [0, 1, 6, 7, 8, 20, 21, 22, 23, 24, 31]
    vector = bitmap(deleted)
    (path / "vectors.bin").write_bytes(b"\1" + vector)
    descriptor = {
        "storageType": "p",
        "pathOrInlineDv": (path / "vectors.bin").as_uri(),
        "offset": 1,
        "sizeInBytes": len(vector) - 8,
        "cardinality": len(deleted),
    }
    add = added(tmp_path / "other", "f.parquet", table, deletionVector=descriptor)
    add["add"]["size"] = (path / "f.parquet").stat().st_size
    commit(path, 0, protocol("deletionVectors"), metadata(COLUMNS, {"delta.enableDeletionVectors": "true"}), add)
    kept = table.take([row for row in range(table.num_rows) if row not in deleted])
    assert tables.ask(path, format="delta") == tables.expected(kept)


def test_renamed_columns_are_found_in_files_of_every_age(tables, tmp_path):
    path = tmp_path / "t"
    write_deltalake(
        path, tables.rows().rename_columns({"trips": "rides"}), configuration={"delta.columnMapping.mode": "name"}
    )
    renamed = next(action for action in actions(path, 0) if "metaData" in action)
    schema = json.loads(renamed["metaData"]["schemaString"])
    for field in schema["fields"]:
        swapped = {"rides": "trips", "rate": "city", "city": "rate"}
        field["name"] = swapped.get(field["name"], field["name"])
    renamed["metaData"]["schemaString"] = json.dumps(schema)
    commit(path, 1, renamed)
    types = {"trips": "int64", "rate": "string", "city": "float64"}
    expected = tables.rows().rename_columns({"rate": "city", "city": "rate"})
    assert tables.ask(path, types, format="delta") == tables.expected(expected, types)


def test_columns_are_found_by_id_where_the_table_says_so(tables, tmp_path):
    path = tmp_path / "t"
    mapped = [
        (name, of, {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{name}"})
        for number, (name, of, _) in enumerate(COLUMNS, start=1)
    ]
    fields = [
        pa.field(f"in file {number}", field.type, metadata={"PARQUET:field_id": str(number)})
        for number, field in enumerate(tables.rows().schema, start=1)
    ]
    table = pa.table(tables.rows().columns, schema=pa.schema(fields))
    configuration = {"delta.columnMapping.mode": "id", "delta.columnMapping.maxColumnId": "7"}
    commit(path, 0, protocol("columnMapping"), metadata(mapped, configuration), added(path, "f.parquet", table))
    assert tables.ask(path, format="delta") == tables.expected(tables.rows())


def test_a_column_that_came_later_is_null_in_older_files(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows().drop_columns(["city"]))
    write_deltalake(tmp_path / "t", tables.rows(hours=range(48, 60, 6)), mode="append", schema_mode="merge")
    without = tables.rows().drop_columns(["city"])
    everything = pa.concat_tables([without, tables.rows(hours=range(48, 60, 6))], promote_options="default")
    assert tables.ask(tmp_path / "t", format="delta") == tables.expected(everything)


def test_a_widened_column_is_widened_in_older_files(tables, tmp_path):
    path, narrow = tmp_path / "t", tables.rows().column("trips").cast(pa.int32())
    table = tables.rows().set_column(3, "trips", narrow)
    change = {"delta.typeChanges": [{"toType": "long", "fromType": "integer"}]}
    widened = [(name, of, change if name == "trips" else None) for name, of, _ in COLUMNS]
    configuration = {"delta.enableTypeWidening": "true"}
    more = added(path, "b.parquet", tables.rows(trips=2**40, hours=range(50, 52)))
    commit(path, 0, protocol("typeWidening"), metadata(widened, configuration), added(path, "a.parquet", table), more)
    everything = pa.concat_tables([tables.rows(), tables.rows(trips=2**40, hours=range(50, 52))])
    assert tables.ask(path, format="delta") == tables.expected(everything)


def test_a_table_is_read_from_its_checkpoint(tables, tmp_path):
    path = tmp_path / "t"
    for hour in range(12):
        write_deltalake(path, tables.rows(hours=range(hour, hour + 1)), mode="append", partition_by=["city"])
    DeltaTable(path).create_checkpoint()
    for hour in range(12, 14):
        write_deltalake(path, tables.rows(hours=range(hour, hour + 1)), mode="append")
    for version in range(11):
        (path / "_delta_log" / f"{version:020}.json").unlink()
    expected = tables.expected(tables.rows(hours=range(14)))
    assert tables.ask(path, format="delta") == expected
    assert tables.ask(path, format="delta", version=12) == tables.expected(tables.rows(hours=range(13)))
    with pytest.raises(NotFoundError, match="it has versions 11 to 13"):
        tables.ask(path, format="delta", version=3)


def test_only_what_matters_is_read_and_answers_stay(tables, tmp_path):
    for hour in range(0, 48, 6):
        write_deltalake(tmp_path / "t", tables.rows(hours=range(hour, hour + 6)), mode="append", partition_by=["day"])
    assert tables.ask(tmp_path / "t", format="delta") == tables.expected(tables.rows(hours=range(48)))


def test_rows_reach_the_online_store(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows(), partition_by=["city"])
    store = tables.store(tmp_path / "t", format="delta")
    report = store.materialize(datetime(2023, 12, 31, tzinfo=timezone.utc), tables.at(48))
    keys = [{"driver_id": driver} for driver in range(4)]
    answer = store.get_online_features(features=["stats:trips", "stats:city"], entity_rows=keys).to_dict()
    assert "32" in str(report)
    assert answer["trips"] == [420, 421, 422, 423]
    assert answer["city"] == ["bern", "a b/c=d%é", None, "x:y"]


def test_field_mapping_names_columns_of_the_table(tables, tmp_path):
    write_deltalake(tmp_path / "t", tables.rows().rename_columns({"trips": "rides"}))
    source = {"format": "delta", "field_mapping": {"rides": "trips"}}
    assert tables.ask(tmp_path / "t", **source) == tables.expected(tables.rows())


def test_what_is_no_table_or_can_not_be_read_is_said(tables, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(NotFoundError, match=f"no delta table is at .*{name}"):
            tables.ask(tmp_path / name, format="delta")
    path = tmp_path / "t"
    commit(path, 0, protocol("frobnicate"), metadata(COLUMNS), added(path, "f.parquet", tables.rows()))
    with pytest.raises(UnsupportedError, match="frobnicate"):
        tables.ask(path, format="delta")
    write_deltalake(tmp_path / "lost", tables.rows())
    next((tmp_path / "lost").glob("*.parquet")).unlink()
    with pytest.raises(LodestoreError, match=r"part-.*parquet"):
        tables.ask(tmp_path / "lost", format="delta")
    shutil.copytree(tmp_path / "lost", tmp_path / "broken")
    (tmp_path / "broken" / "_delta_log" / f"{0:020}.json").write_text("{not json")
    with pytest.raises(LodestoreError, match="broken"):
        tables.ask(tmp_path / "broken", format="delta")
    with pytest.raises(InvalidError, match="one of them"):
        tables.ask(path, format="delta", version=0, timestamp="2024-01-01T00:00:00Z")


def written(path):
    """What another reader finds in a table."""
    return DeltaTable(path).to_pyarrow_table().sort_by([("driver_id", "ascending"), ("event_timestamp", "ascending")])


def training(tables, trips=0):
    """A job that asks for each row at its own time, and its answer."""
    plain = tables.folder / f"plain{trips}.parquet"
    pq.write_table(tables.rows(trips=trips), plain)
    questions = tables.rows().select(["driver_id", "event_timestamp"])
    names = ["stats:trips", "stats:rate", "stats:city", "stats:day"]
    job = tables.store(plain).get_historical_features(questions, names)
    return job, job.to_arrow()


@pytest.mark.parametrize("partition_by", [[], ["city", "day"], ["driver_id"]])
def test_an_answer_becomes_a_table_that_others_read(tables, tmp_path, partition_by):
    job, answer = training(tables)
    assert job.to_delta(tmp_path / "t", partition_by=partition_by) == 32
    assert DeltaTable(tmp_path / "t").version() == 0
    assert DeltaTable(tmp_path / "t").metadata().partition_columns == partition_by
    table = written(tmp_path / "t").select(answer.column_names)
    assert list(map(str, table.to_pylist())) == list(map(str, answer.to_pylist()))
    assert table.schema.types == answer.schema.types
    with pytest.raises(AlreadyExistsError, match=r"a delta table is at .*/t' already"):
        job.to_delta(tmp_path / "t", partition_by=partition_by)
    files = {path.name for path in (tmp_path / "t").rglob("*.parquet")}
    assert files == {uri.rsplit("/", 1)[1] for uri in DeltaTable(tmp_path / "t").file_uris()}


def test_rows_are_added_to_a_table_of_another_writer(tables, tmp_path):
    path = tmp_path / "t"
    _, answer = training(tables)
    more, added = training(tables, trips=1000)
    write_deltalake(path, answer, partition_by=["city"])
    assert more.to_delta(path, mode="append") == 32
    assert DeltaTable(path).version() == 1
    both = pa.concat_tables([answer, added])
    order = [("driver_id", "ascending"), ("event_timestamp", "ascending"), ("trips", "ascending")]
    found = written(path).select(both.column_names).sort_by(order)
    assert list(map(str, found.to_pylist())) == list(map(str, both.sort_by(order).to_pylist()))


def test_rows_are_added_to_a_table_with_names_of_its_own_for_files(tables, tmp_path):
    path = tmp_path / "t"
    job, answer = training(tables)
    mapped = [
        (name, of, {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{name}"})
        for number, (name, of, _) in enumerate(COLUMNS, start=1)
    ]
    configuration = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "7"}
    features = protocol("columnMapping", "deletionVectors")
    commit(path, 0, features, metadata(mapped, configuration, partitions=["city"]))
    assert job.to_delta(path, mode="append") == 32
    assert all(name.startswith("col-") for file in path.rglob("*.parquet") for name in pq.read_schema(file).names)
    plain = tables.folder / "answer.parquet"
    pq.write_table(answer, plain)
    by_time = {"created_timestamp_column": "event_timestamp"}
    assert tables.ask(path, format="delta", **by_time) == tables.ask(plain, **by_time)


def test_a_table_with_rules_that_are_not_checked_takes_no_rows(tables, tmp_path):
    job, answer = training(tables)
    write_deltalake(tmp_path / "t", answer)
    DeltaTable(tmp_path / "t").alter.add_constraint({"positive": "driver_id >= 0"})
    with pytest.raises(UnsupportedError, match="/t': Feature 'checkConstraints' is not supported"):
        job.to_delta(tmp_path / "t", mode="append")


def test_an_append_that_does_not_fit_changes_nothing(tables, tmp_path):
    job, answer = training(tables)
    write_deltalake(tmp_path / "t", answer.drop_columns(["day"]))
    before = sorted(path.name for path in (tmp_path / "t").rglob("*"))
    with pytest.raises(InvalidError, match="has no column 'day'; columns: 'driver_id'"):
        job.to_delta(tmp_path / "t", mode="append")
    assert sorted(path.name for path in (tmp_path / "t").rglob("*")) == before
