"""Rows on their way in, and times: what needs no engine."""

import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lodestore._rows import micros, moment, rows_of, to_pandas
from lodestore.errors import InvalidError


def test_lists_of_dicts_and_dicts_of_sequences_become_dicts_of_lists():
    assert rows_of("df", [{"a": 1, "b": None}, {"b": "x", "a": 2}]) == {"a": [1, 2], "b": [None, "x"]}
    assert rows_of("df", {"a": (1, 2), "b": range(2)}) == {"a": [1, 2], "b": [0, 1]}
    columns = rows_of("df", {"a": pd.Series([1, 2]), "b": pd.Series([1.5, 2.5]).to_numpy()})
    assert columns == {"a": [1, 2], "b": [1.5, 2.5]}
    assert {type(value) for values in columns.values() for value in values} == {int, float}
    assert rows_of("df", []) == {}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([{"a": 1}, {"b": 1}], InvalidError, "df: row 1 has columns ['b'], but row 0 has ['a']"),
        ([{"a": 1}, 2], TypeError, "df: row 1 must be a dict, not 2"),
        (
            {"a": [1], "b": [1, 2]},
            InvalidError,
            "df: all columns must have the same number of values, but 'a' has 1, 'b' has 2",
        ),
        ({"a": 1}, InvalidError, "df: column 'a' must be a list, not 1"),
        ({"a": "text"}, InvalidError, "df: column 'a' must be a list, not 'text'"),
        (
            "SELECT 1",
            TypeError,
            "df must be a pandas, Polars or Arrow frame, a list of dicts or a dict of lists, not str",
        ),
        (pl.DataFrame({"a": [1]}).lazy(), TypeError, "not LazyFrame"),
    ],
)
def test_what_has_no_rows_is_refused_by_name(data, error, message):
    with pytest.raises(error) as raised:
        rows_of("df", data)
    assert message in str(raised.value)


def test_frames_of_arrow_go_through_as_they_are():
    for frame in (pa.table({"a": [1]}), pa.record_batch({"a": [1]}), pl.DataFrame({"a": [1]})):
        assert rows_of("df", frame) is frame


def test_a_pandas_index_is_no_column():
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    table = rows_of("df", frame)
    assert pa.table(table).column_names == ["a"]
    assert table.schema.metadata is None


def test_what_arrow_has_no_type_for_is_refused_with_its_column():
    with pytest.raises(InvalidError, match=r"df: .*column bad"):
        rows_of("df", pd.DataFrame({"bad": [1, "x"]}))
    with pytest.raises(InvalidError, match=r"df: .*[Dd]uplicate"):
        rows_of("df", pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_pandas_without_pyarrow_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'lodestore\[pandas\]'"):
        rows_of("df", pd.DataFrame({"a": [1]}))


def test_times_without_a_zone_are_utc_and_others_are_converted():
    naive = datetime(2024, 1, 1, 12, 0, 0, 1)
    assert micros("t", naive) == 1704110400000001
    assert micros("t", datetime(2024, 1, 1, 14, 0, 0, 1, tzinfo=timezone(timedelta(hours=2)))) == 1704110400000001
    assert moment(1704110400000001) == naive.replace(tzinfo=timezone.utc)
    assert micros("t", datetime(1969, 12, 31, 23, 59, 59)) == -1_000_000
    with pytest.raises(TypeError, match="t must be a datetime, not '2024-01-01'"):
        micros("t", "2024-01-01")


def test_a_time_finer_than_microseconds_is_rounded_down():
    assert micros("t", pd.Timestamp(1_001, unit="ns")) == 1
    assert micros("t", pd.Timestamp(-1, unit="ns", tz="UTC")) == -1


TYPES = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "decimal": pa.decimal128(12, 2),
    "list": pa.list_(pa.int64()),
    "vector": pa.list_(pa.float32(), 2),
    "struct": pa.struct([("a", pa.int64())]),
    "map": pa.map_(pa.string(), pa.int64()),
}


def test_pandas_dtypes_do_not_depend_on_whether_values_are_missing():
    values = {
        "int64": 2**53 + 1,
        "int32": 1,
        "bool": True,
        "float64": 0.5,
        "float32": 0.5,
        "string": "x",
        "bytes": b"x",
        "timestamp": datetime(2024, 1, 1, tzinfo=timezone.utc),
        "date": datetime(2024, 1, 1).date(),
        "decimal": None,
        "list": [1, None],
        "vector": [1.0, 2.0],
        "struct": {"a": None},
        "map": [("k", 1)],
    }

    def frame(*rows):
        return to_pandas(pa.table({name: pa.array([row[name] for row in rows], TYPES[name]) for name in TYPES}))

    nothing = dict.fromkeys(TYPES)
    full, mixed, empty = frame(values, values), frame(values, nothing), frame(nothing, nothing)
    assert dict(full.dtypes) == dict(mixed.dtypes) == dict(empty.dtypes) == dict(frame().dtypes)
    shown = {name: str(dtype) for name, dtype in mixed.dtypes.items()}
    assert {shown[name] for name in ("list", "vector", "struct", "map", "date", "decimal", "bytes")} == {"object"}
    assert (shown["int64"], shown["int32"], shown["bool"]) == ("Int64", "Int32", "boolean")
    assert (shown["float64"], shown["float32"], shown["timestamp"]) == ("float64", "float32", "datetime64[us, UTC]")
    assert mixed["int64"].tolist() == [2**53 + 1, pd.NA]
    assert mixed["list"].tolist() == [[1, None], None]
    assert mixed["struct"].tolist() == [{"a": None}, None]
    assert mixed["map"].tolist() == [{"k": 1}, None]
    assert mixed["vector"][0].dtype == "float32"
