import pytest

from lodestore import Field, ValueType, types
from lodestore.errors import InvalidError, UnsupportedError
from lodestore.types import (
    Array,
    Bool,
    Decimal,
    Float32,
    Float64,
    Int64,
    Map,
    Set,
    String,
    Struct,
    UnixTimestamp,
    Vector,
    parse_type,
)

TEXTS = {
    "bool": Bool,
    "int32": types.Int32,
    "int64": Int64,
    "float32": Float32,
    "float64": Float64,
    "string": String,
    "bytes": types.Bytes,
    "timestamp": UnixTimestamp,
    "date": types.Date,
    "json": types.Json,
    "uuid": types.Uuid,
    "decimal(12, 2)": Decimal(12, 2),
    "decimal(38, 9)": Decimal,
    "list<list<int64>>": Array(Array(Int64)),
    "set<string>": Set(String),
    "vector<float32, 128>": Vector(Float32, 128),
    "struct<a: int64, b: map<string, list<bool>>>": Struct({"a": Int64, "b": Map(String, Array(Bool))}),
    "map<string, string>": Map,
}


@pytest.mark.parametrize(("text", "dtype"), TEXTS.items())
def test_every_type_is_written_and_read_again(text, dtype):
    assert str(dtype) == text
    assert parse_type(text) == dtype
    assert eval(repr(dtype), vars(types)) == dtype


@pytest.mark.parametrize(
    "text", ["", "int", "list", "list<", "list<int64", "list<int64>>", "decimal(a, 2)", "map<int64>"]
)
def test_what_is_no_type_is_refused(text):
    with pytest.raises(InvalidError, match="unknown type"):
        parse_type(text)


def test_spaces_in_a_type_do_not_matter():
    assert parse_type(" struct< a:int64 ,b :list< string > > ") == Struct({"a": Int64, "b": Array(String)})


def test_types_are_equal_by_what_they_say():
    assert types.Timestamp is UnixTimestamp
    assert Array(Int64) == Array(Int64)
    assert len({Array(Int64), Array(Int64), Set(Int64)}) == 2
    assert Int64 != "int64"


def test_a_part_that_is_no_type_is_named():
    with pytest.raises(TypeError, match="the item of Array must be a type such as Int64"):
        Array(int)
    with pytest.raises(TypeError, match="field 'a' of Struct"):
        Struct({"a": "int64"})
    with pytest.raises(TypeError, match="field 'x': dtype must be a type such as Int64"):
        Field(name="x", dtype=Array)


def test_value_types_have_feasts_numbers_and_stand_for_types():
    assert (ValueType.INT64.value, ValueType.UNIX_TIMESTAMP_LIST.value, ValueType.ZONED_TIMESTAMP.value) == (4, 18, 48)
    assert ValueType.DOUBLE.feature_type() == Float64
    assert ValueType.UNIX_TIMESTAMP_LIST.feature_type() == Array(UnixTimestamp)
    assert ValueType.STRING_SET.feature_type() == Set(String)
    assert ValueType.TIME_UUID_LIST.feature_type() == Array(types.Uuid)
    with pytest.raises(UnsupportedError, match=r"ValueType\.STRUCT stands for no type"):
        ValueType.STRUCT.feature_type()
