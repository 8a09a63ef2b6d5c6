"""Iceberg tables as sources: what other writers wrote, as plain Parquet would answer."""

import gzip
import itertools
import json
import struct
import uuid
import zlib
from datetime import datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.avro.file import AvroOutputFile
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.transforms import BucketTransform, DayTransform, TruncateTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, StringType
from pyroaring import BitMap

from lodestore.errors import NotFoundError, UnsupportedError


class DeleteManifest(ManifestWriterV2):
    """Writes manifests of delete files, with what version 3 of the format says of deletion vectors."""

    def content(self):
        return ManifestContent.DELETES

    @property
    def _meta(self):
        return {**super()._meta, "content": "deletes"}

    def new_writer(self):
        schema = self._with_partition(3)
        return AvroOutputFile(self._output_file, schema, "manifest_entry", metadata=self._meta)


class Lake:
    """A catalog of tables below a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
        self.catalog.create_namespace("db")
        self.numbers = itertools.count(1)

    def create(self, schema, **options):
        return self.catalog.create_table("db.t", schema=schema, **options)

    def write(self, rows, **options):
        table = self.create(rows.schema, **options)
        table.append(rows)
        return table

    @property
    def path(self):
        return self.folder / "warehouse" / "db" / "t"

    def metadata(self):
        return max((self.path / "metadata").glob("*.metadata.json"))

    def put_metadata(self, change):
        """Writes the next metadata file: the newest one, changed."""
        newest = self.metadata()
        metadata = json.loads(newest.read_text())
        change(metadata)
        name = f"{int(newest.name.split('-')[0]) + 1:05}-{uuid.uuid4()}.metadata.json"
        (newest.parent / name).write_text(json.dumps(metadata))

    def delete(self, table, *files):
        """Commits delete files, as a writer does that leaves data files as they are."""
        io, metadata = PyArrowFileIO(), json.loads(self.metadata().read_text())
        number, sequence = next(self.numbers), metadata["last-sequence-number"] + 1
        before = next(one for one in metadata["snapshots"] if one["snapshot-id"] == metadata["current-snapshot-id"])
        location = f"{table.location()}/metadata/deletes-{number}"
        manifest = DeleteManifest(table.spec(), table.schema(), io.new_output(f"{location}.avro"), number, "null")
        added = ManifestEntryStatus.ADDED
        with manifest:
            for file in files:
                manifest.add_entry(ManifestEntry.from_args(status=added, snapshot_id=number, data_file=file))
        manifests = table.metadata.snapshot_by_id(table.metadata.current_snapshot_id).manifests(io)
        lists = io.new_output(f"{location}-list.avro")
        with write_manifest_list(2, lists, number, before["snapshot-id"], sequence, "null") as manifest_list:
            manifest_list.add_manifests([*manifests, manifest.to_manifest_file()])
        millis = metadata["last-updated-ms"] + 1
        snapshot = {
            **before,
            "snapshot-id": number,
            "sequence-number": sequence,
            "timestamp-ms": millis,
            "manifest-list": f"{location}-list.avro",
            "summary": {"operation": "delete"},
        }

        def change(metadata):
            metadata["snapshots"].append(snapshot)
            metadata["snapshot-log"].append({"snapshot-id": number, "timestamp-ms": millis})
            metadata["refs"]["main"]["snapshot-id"] = number
            metadata.update(
                {"current-snapshot-id": number, "last-sequence-number": sequence, "last-updated-ms": millis}
            )

        self.put_metadata(change)

    def delete_file(self, name, content, table=None, partition=None, **more):
        """A delete file; a Parquet file with these rows if there are any."""
        path = self.path / "data" / name
        if table is not None:
            pq.write_table(table, path)
        return DataFile.from_args(
            _table_format_version=3,
            content=content,
            file_path=f"file://{path}",
            partition=partition or Record(),
            record_count=1,
            file_size_in_bytes=path.stat().st_size,
            **{"file_format": FileFormat.PARQUET, **more},
        )


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def data_files(table):
    return sorted(table.inspect.data_files()["file_path"].to_pylist())


def with_ids(table, *ids):
    fields = [
        field.with_metadata({"PARQUET:field_id": str(number)}) for field, number in zip(table.schema, ids, strict=True)
    ]
    return table.cast(pa.schema(fields))


def positions(pairs):
    table = pa.table({"file_path": [path for path, _ in pairs], "pos": pa.array([row for _, row in pairs], pa.int64())})
    return with_ids(table, 2147483546, 2147483545)


def without(table, deleted):
    return table.take([row for row in range(table.num_rows) if row not in deleted])


def test_a_table_answers_as_its_rows_in_parquet_do(tables, lake):
    table = lake.write(tables.rows())
    table.append(tables.rows(trips=1000).slice(5, 9))
    everything = pa.concat_tables([tables.rows(), tables.rows(trips=1000).slice(5, 9)])
    expected = tables.expected(everything)
    assert tables.ask(lake.path, format="iceberg") == expected
    assert tables.ask(f"file://{lake.path}", format="iceberg") == expected
    assert tables.ask(lake.metadata(), format="iceberg") == expected


def test_tables_of_every_version_of_the_format_are_read(tables, lake):
    table = lake.write(tables.rows(), properties={"format-version": "1"})
    expected = tables.expected(tables.rows())
    assert table.format_version == 1
    assert tables.ask(lake.path, format="iceberg") == expected
    with table.transaction() as transaction:
        transaction.upgrade_table_version(2)
    table.append(tables.rows(trips=1000))
    both = tables.expected(pa.concat_tables([tables.rows(), tables.rows(trips=1000)]))
    assert tables.ask(lake.path, format="iceberg") == both

    def as_version_3(metadata):
        metadata.update({"format-version": 3, "next-row-id": 64})
        for snapshot in metadata["snapshots"]:
            snapshot.update({"first-row-id": 0, "added-rows": 64})

    lake.put_metadata(as_version_3)
    assert tables.ask(lake.path, format="iceberg") == both


def test_values_of_every_type_come_out_as_they_went_in(tables, lake):
    table = tables.rows(hours=range(2))
    count = table.num_rows
    values = {
        "flag": ("bool", pa.array([True, None] * (count // 2))),
        "small": ("int32", pa.array(range(count), pa.int32())),
        "single": ("float32", pa.array([0.1 * i for i in range(count)], pa.float32())),
        "price": ("decimal(10, 2)", pa.array([Decimal(i) / 4 for i in range(count)], pa.decimal128(10, 2))),
        "raw": ("bytes", pa.array([bytes([i, 0]) for i in range(count)])),
        "fixed": ("bytes", pa.array([bytes([i, 0]) for i in range(count)], pa.binary(2))),
        "wall": ("timestamp", pa.array([datetime(2020, 1, 1, i) for i in range(count)], pa.timestamp("us"))),
        "tags": ("list<string>", pa.array([[], None, ["a", None], ["b"]] * (count // 4))),
        "pos": ("struct<x: int64, y: string>", pa.array([{"x": i, "y": None} for i in range(count)])),
        "sums": ("map<string, int64>", pa.array([[("k", i)] for i in range(count)], pa.map_(pa.string(), pa.int64()))),
    }
    values["pos"] = (values["pos"][0], values["pos"][1].cast(pa.struct({"x": pa.int64(), "y": pa.string()})))
    for name, (_, array) in values.items():
        table = table.append_column(name, array)
    lake.write(table)
    types = {name: of for name, (of, _) in values.items()}
    assert tables.ask(lake.path, types, format="iceberg") == tables.expected(table, types)


def test_partitions_of_every_transform_are_read(tables, lake):
    table = lake.create(tables.rows().schema)
    with table.update_spec() as update:
        update.add_identity("city")
        update.add_identity("day")
        update.add_field("event_timestamp", DayTransform(), "date")
        update.add_field("driver_id", BucketTransform(4), "bucket")
    table.append(tables.rows(hours=range(0, 24, 6)))
    with table.update_spec() as update:
        update.remove_field("city")
        update.add_field("trips", TruncateTransform(100), "hundreds")
    table.append(tables.rows(hours=range(24, 48, 6)))
    assert tables.ask(lake.path, format="iceberg") == tables.expected(tables.rows())


def test_an_old_snapshot_is_read_by_its_id_and_by_its_time(tables, lake):
    table = lake.write(tables.rows())
    table.overwrite(tables.rows(trips=1000))
    first, second = table.metadata.snapshots[0].snapshot_id, table.metadata.current_snapshot_id
    old, new = tables.expected(tables.rows()), tables.expected(tables.rows(trips=1000))
    assert tables.ask(lake.path, format="iceberg") == new
    assert tables.ask(lake.path, format="iceberg", version=first) == old
    assert tables.ask(lake.path, format="iceberg", version=second) == new

    def moment(entry, micros=0):
        moment = datetime.fromtimestamp(entry.timestamp_ms / 1000, timezone.utc)
        return moment.replace(microsecond=moment.microsecond + micros).isoformat().replace("+00:00", "Z")

    # An overwrite is a delete and an append: three snapshots.
    assert len(table.metadata.snapshot_log) == 3
    log = table.metadata.snapshot_log
    assert tables.ask(lake.path, format="iceberg", timestamp=moment(log[0])) == old
    assert tables.ask(lake.path, format="iceberg", timestamp=moment(log[2])) == new
    assert tables.ask(lake.path, format="iceberg", timestamp="2100-01-01T00:00:00Z") == new
    with pytest.raises(NotFoundError, match=rf"no snapshot 77; it has {second} of 20.*, {first} of 20"):
        tables.ask(lake.path, format="iceberg", version=77)
    with pytest.raises(NotFoundError, match=r"no snapshot at 2000-01-01T00:00:00Z; it has"):
        tables.ask(lake.path, format="iceberg", timestamp="2000-01-01T00:00:00Z")


def test_explain_tells_the_snapshot(tables, lake):
    table = lake.write(tables.rows())
    explained = tables.job(lake.path, format="iceberg").explain()
    assert f"iceberg snapshot {table.metadata.current_snapshot_id}" in explained


def test_a_table_without_a_snapshot_has_columns_and_no_rows(tables, lake):
    lake.create(tables.rows().schema)
    assert tables.ask(lake.path, format="iceberg") == tables.expected(tables.rows().slice(0, 0))


def test_rows_that_a_writer_deleted_are_not_read(tables, lake):
    lake.write(tables.rows()).delete("driver_id = 2")
    assert tables.ask(lake.path, format="iceberg") == tables.expected(tables.rows(drivers=[0, 1, 3]))


def test_rows_in_position_deletes_are_not_read(tables, lake):
    first, second = tables.rows(hours=range(0, 24, 6)), tables.rows(hours=range(24, 48, 6))
    table = lake.write(first)
    [first_file] = data_files(table)
    table.append(second)
    [second_file] = {*data_files(table)} - {first_file}
    pairs = [(first_file, 0), (first_file, 7), (second_file, 15), (second_file, 3)]
    lake.delete(table, lake.delete_file("d.parquet", DataFileContent.POSITION_DELETES, positions(pairs)))
    kept = pa.concat_tables([without(first, [0, 7]), without(second, [3, 15])])
    assert tables.ask(lake.path, format="iceberg") == tables.expected(kept)
    before = table.metadata.current_snapshot_id
    everything = tables.expected(pa.concat_tables([first, second]))
    assert tables.ask(lake.path, format="iceberg", version=before) == everything


def test_rows_in_deletion_vectors_are_not_read(tables, lake):
    table = lake.write(tables.rows())
    [file] = data_files(table)
    deleted = [0, 1, 2, 9, 31]
    data = struct.pack("<IQI", 1681511377, 1, 0) + BitMap(deleted).serialize()
    vector = struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    (lake.path / "data" / "d.puffin").write_bytes(b"PFA1" + vector + b"footer")
    place = {"content_offset": 4, "content_size_in_bytes": len(vector), "referenced_data_file": file}
    puffin = {"file_format": FileFormat.PUFFIN, **place}
    lake.delete(table, lake.delete_file("d.puffin", DataFileContent.POSITION_DELETES, **puffin))
    assert tables.ask(lake.path, format="iceberg") == tables.expected(without(tables.rows(), deleted))


def test_rows_deleted_by_their_values_are_not_read(tables, lake):
    first = tables.rows(hours=range(0, 24, 6))
    table = lake.write(first)
    values = pa.table({"city": ["bern", None], "trips": pa.array([60, 62], pa.int64())})
    equality = {"equality_ids": [6, 4]}
    file = lake.delete_file("e.parquet", DataFileContent.EQUALITY_DELETES, with_ids(values, 6, 4), **equality)
    lake.delete(table, file)
    deleted = [
        row
        for row, (city, trips) in enumerate(zip(first["city"].to_pylist(), first["trips"].to_pylist(), strict=True))
        if (city, trips) in [("bern", 60), (None, 62)]
    ]
    assert len(deleted) == 2
    assert tables.ask(lake.path, format="iceberg") == tables.expected(without(first, deleted))


def test_a_value_is_deleted_in_older_files_of_its_partition_alone(tables, lake):
    table = lake.create(tables.rows().schema)
    with table.update_spec() as update:
        update.add_identity("driver_id")
    table.append(tables.rows())
    values = with_ids(pa.table({"day": pa.array([datetime(2024, 1, 2).date()])}), 7)
    options = {"equality_ids": [7], "partition": Record(1)}
    lake.delete(table, lake.delete_file("e.parquet", DataFileContent.EQUALITY_DELETES, values, **options))
    kept = tables.rows().filter(
        pa.compute.invert(
            pa.compute.and_(
                pa.compute.equal(tables.rows()["driver_id"], 1),
                pa.compute.equal(tables.rows()["day"], datetime(2024, 1, 2).date()),
            )
        )
    )
    assert kept.num_rows == 28
    assert tables.ask(lake.path, format="iceberg") == tables.expected(kept)


def test_columns_are_found_by_id_whatever_they_were_called(tables, lake):
    table = lake.write(tables.rows().rename_columns({"trips": "rides"}))
    with table.update_schema() as update:
        update.rename_column("rides", "trips")
    # Names change places: each must still lead to its own values.
    for old, new in [("city", "x"), ("rate", "city"), ("x", "rate")]:
        with table.update_schema() as update:
            update.rename_column(old, new)
    types = {"trips": "int64", "rate": "string", "city": "float64"}
    expected = tables.rows().rename_columns({"rate": "city", "city": "rate"})
    assert tables.ask(lake.path, types, format="iceberg") == tables.expected(expected, types)


def test_pruning_goes_by_the_column_and_not_by_a_name_that_it_had(tables, lake):
    swapped = {"event_timestamp": "created", "created": "event_timestamp"}
    early = tables.rows().set_column(
        2, "created", pa.compute.add(tables.rows()["created"], pa.scalar(10**13, pa.duration("us")))
    )
    table = lake.write(early.rename_columns(swapped))
    for old, new in [("created", "x"), ("event_timestamp", "created"), ("x", "event_timestamp")]:
        with table.update_schema() as update:
            update.rename_column(old, new)
    assert tables.ask(lake.path, format="iceberg") == tables.expected(early)


def test_a_column_that_was_dropped_does_not_come_back_with_its_name(tables, lake):
    table = lake.write(tables.rows())
    with table.update_schema() as update:
        update.delete_column("city")
    with table.update_schema() as update:
        update.add_column("city", StringType())
    later = tables.rows(hours=range(48, 60, 6))
    table.append(later.select([*(name for name in later.column_names if name != "city"), "city"]))
    everything = pa.concat_tables([tables.rows().drop_columns(["city"]), later], promote_options="default")
    assert tables.ask(lake.path, format="iceberg") == tables.expected(everything)


def test_promoted_types_are_read_from_older_files(tables, lake):
    trips, rate = tables.rows()["trips"].cast(pa.int32()), tables.rows()["rate"].cast(pa.float32())
    narrow = tables.rows().set_column(3, "trips", trips).set_column(4, "rate", rate)
    table = lake.create(narrow.schema)
    with table.update_spec() as update:
        update.add_identity("trips")
    table.append(narrow)
    with table.update_schema() as update:
        update.update_column("trips", LongType())
        update.update_column("rate", DoubleType())
    later = tables.rows(hours=range(48, 60, 6), trips=2**40)
    table.append(later)
    wide = tables.rows().set_column(4, "rate", rate.cast(pa.float64()))
    assert tables.ask(lake.path, format="iceberg") == tables.expected(pa.concat_tables([wide, later]))


def test_files_from_elsewhere_are_read_by_names_and_partitions(tables, lake):
    table = lake.create(tables.rows().schema)
    with table.update_spec() as update:
        update.add_identity("driver_id")
    for driver in range(4):
        file = lake.path / "data" / f"driver_id={driver}" / "f.parquet"
        file.parent.mkdir(parents=True)
        rows = tables.rows(drivers=[driver])
        pq.write_table(rows, file, store_schema=False)
        table.add_files([f"file://{file}"])
        # Hive has the values of partitions in the names of folders alone. The size stays what the table says.
        size, bare = file.stat().st_size, rows.drop_columns(["driver_id"])
        for padding in range(size):
            with pq.ParquetWriter(file, bare.schema, store_schema=False) as writer:
                writer.write_table(bare)
                writer.add_key_value_metadata({"padding": "-" * padding})
            if file.stat().st_size == size:
                break
        assert "driver_id" not in pq.ParquetFile(file).schema_arrow.names
        assert file.stat().st_size == size
    assert tables.ask(lake.path, format="iceberg") == tables.expected(tables.rows())
    with table.update_schema() as update:
        update.rename_column("trips", "rides")
    with pytest.raises(UnsupportedError, match="files without field ids and a new name in column 'rides'"):
        tables.ask(lake.path, {"city": "string"}, format="iceberg")


def test_metadata_is_found_by_hint_compressed_or_not(tables, lake):
    table = lake.write(tables.rows())
    expected = tables.expected(tables.rows())
    table.append(tables.rows(trips=1000))
    first, second = sorted((lake.path / "metadata").glob("*.metadata.json"))[-2:]
    folder = first.parent
    (folder / "v1.metadata.json").write_bytes(first.read_bytes())
    (folder / "v2.gz.metadata.json").write_bytes(gzip.compress(second.read_bytes()))
    for file in folder.glob("0*.metadata.json"):
        file.unlink()
    both = tables.expected(pa.concat_tables([tables.rows(), tables.rows(trips=1000)]))
    assert tables.ask(lake.path, format="iceberg") == both
    assert tables.ask(folder / "v1.metadata.json", format="iceberg") == expected
    (folder / "version-hint.text").write_text("2\n")
    assert tables.ask(lake.path, format="iceberg") == both
    (folder / "v2.gz.metadata.json").unlink()
    (folder / "version-hint.text").write_text("1")
    assert tables.ask(lake.path, format="iceberg") == expected


def test_rows_reach_the_online_store(tables, lake):
    lake.write(tables.rows())
    store = tables.store(lake.path, format="iceberg")
    store.materialize(datetime(2023, 12, 31, tzinfo=timezone.utc), tables.at(48))
    keys = [{"driver_id": driver} for driver in range(4)]
    answer = store.get_online_features(features=["stats:trips", "stats:city"], entity_rows=keys).to_dict()
    assert answer["trips"] == [420, 421, 422, 423]
    assert answer["city"] == ["bern", "a b/c=d%é", None, "x:y"]


def test_what_is_no_table_or_can_not_be_read_is_said(tables, lake, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(NotFoundError, match=f"no iceberg table is at .*{name}"):
            tables.ask(tmp_path / name, format="iceberg")
    table = lake.write(tables.rows())
    [file] = data_files(table)
    pairs = positions([(file, 0)])
    avro = {"file_format": FileFormat.AVRO}
    lake.delete(table, lake.delete_file("d.avro", DataFileContent.POSITION_DELETES, pairs, **avro))
    with pytest.raises(UnsupportedError, match="delete files in avro"):
        tables.ask(lake.path, format="iceberg")
    lake.metadata().write_text("{}")
    with pytest.raises(Exception, match="iceberg table"):
        tables.ask(lake.path, format="iceberg")
