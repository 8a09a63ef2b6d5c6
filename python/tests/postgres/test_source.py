"""Tables and queries of PostgreSQL as sources: what is read, and what the server is asked."""

import math
import random
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodestore.errors import InvalidError


def at(hour, minute=0):
    return datetime(2024, 1, 1, hour, minute, tzinfo=timezone.utc)


# The column's type in PostgreSQL, the feature's type, a literal and the value it must become, or two of them.
TYPES = {
    "truth": ("boolean", "bool", "true", True),
    "small": ("smallint", "int32", "-32768", -32768),
    "whole": ("integer", "int32", "2147483647", 2**31 - 1),
    "wide": ("bigint", "int64", "-9223372036854775808", -(2**63)),
    "single": ("real", "float32", "0.1", 0.10000000149011612),
    "double": ("double precision", "float64", "0.1", 0.1),
    "above": ("double precision", "float64", "infinity", math.inf),
    "below": ("real", "float32", "-infinity", -math.inf),
    "price": ("numeric(12, 3)", "decimal(12, 3)", "-123456789.125", Decimal("-123456789.125")),
    "digits": ("numeric(38, 0)", "decimal(38, 0)", "9" * 38, Decimal("9" * 38)),
    "tiny": ("numeric(3, 5)", "decimal(5, 5)", "0.00999", Decimal("0.00999")),
    "words": ("text", "string", "Zürich, 東京, 🚀, O'Hare\\n", "Zürich, 東京, 🚀, O'Hare\\n"),
    "empty": ("varchar(9)", "string", "", ""),
    "padded": ("char(3)", "string", "a", "a  "),
    "called": ("name", "string", "a name", "a name"),
    "mood": ("mood", "string", "glad", "glad"),
    "kind": ("whole_above_zero", "int32", "7", 7),
    "plain": ("json", "json", '{"a":  1}', '{"a":  1}'),
    "parsed": ("jsonb", "json", '{"a":  [1]}', '{"a": [1]}'),
    "raw": ("bytea", "bytes", r"\x00ff5c27", b"\x00\xff\\'"),
    "moment": ("timestamptz", "timestamp", "2024-01-01 12:00:00.000001+02", at(10) + timedelta(microseconds=1)),
    "ancient": ("timestamptz", "timestamp", "0044-03-15 12:00:00+00", datetime(44, 3, 15, 12, tzinfo=timezone.utc)),
    "local": ("timestamp", "timestamp", "2024-01-01 10:00:00", at(10)),
    "day": ("date", "date", "1969-12-31", date(1969, 12, 31)),
    "id": ("uuid", "uuid", "0123ABCD-0000-0000-0000-000000000001", "0123abcd-0000-0000-0000-000000000001"),
    "numbers": ("integer[]", "list<int32>", "{1,NULL,3}", [1, None, 3]),
    "nothing": ("text[]", "list<string>", "{}", []),
    "prices": ("numeric(5, 2)[]", "list<decimal(5, 2)>", "{1.5}", [Decimal("1.50")]),
    "times": ("timestamptz[]", "list<timestamp>", "{2024-01-01 10:00:00+00}", [at(10)]),
    "vector": ("real[]", "vector<float32, 2>", "{0.5,1}", [0.5, 1.0]),
    "later": ("bigint[]", "list<int64>", "[5:6]={1,2}", [1, 2]),
}

ONE_VIEW = """
entities: [{{name: driver, join_keys: [{{name: driver_id, type: int64}}]}}]
data_sources: [{{name: rows, type: postgres, {source}, timestamp_field: at}}]
feature_views: [{{name: stats, entities: [driver], source: rows{schema}}}]
"""


def one_view(source, **features):
    fields = ", ".join(f"{{name: {name}, type: '{ty}'}}" for name, ty in features.items())
    return ONE_VIEW.format(source=source, schema=f", schema: [{fields}]" if features else "")


def test_v1_values_of_all_types_come_out_as_they_went_in(server, make_store):
    server.run("create type mood as enum ('sad', 'glad'); create domain whole_above_zero as integer check (value > 0)")
    columns = ", ".join(f'"{name}" {ty}' for name, (ty, *_) in TYPES.items())
    server.run(f"create table every_type (driver_id bigint, at timestamptz, {columns})")
    literals = {name: literal for name, (_, _, literal, _) in TYPES.items()}
    shown = ", ".join(f":'{name}'" for name in TYPES)
    server.run(f"insert into every_type values (1, '2024-01-01 09:00Z', {shown})", **literals)
    server.run("insert into every_type (driver_id, at) values (2, '2024-01-01 09:00Z')")
    features = {name: ty for name, (_, ty, *_) in TYPES.items()}
    store = make_store(one_view("table: every_type", **features))
    asked = {"driver_id": [1, 2, 3], "event_timestamp": [at(12)] * 3}
    table = store.get_historical_features(asked, [f"stats:{name}" for name in TYPES]).to_arrow()
    for name, (_, _, _, value) in TYPES.items():
        assert table[name].to_pylist() == [value, None, None], name


def test_v1_nan_is_no_null_and_keeps_its_bits(server, make_store):
    server.run(
        "create table nans as select 1::bigint as driver_id, timestamptz '2024-01-01 09:00Z' as at, "
        "'nan'::real as single, 'nan'::float8 as double, '-0'::float8 as zero"
    )
    store = make_store(one_view("table: nans", single="float32", double="float64", zero="float64"))
    asked = {"driver_id": [1], "event_timestamp": [at(12)]}
    [row] = store.get_historical_features(asked, ["stats:single", "stats:double", "stats:zero"]).to_arrow().to_pylist()
    assert math.isnan(row["single"])
    assert math.isnan(row["double"])
    assert math.copysign(1, row["zero"]) == -1


def random_rows(count):
    numbers = random.Random(7)
    start = at(0)
    for _ in range(count):
        shop = numbers.choice(["bern", "zürich", "o'hare", "back\\slash", "東京", ""])
        moment = start + timedelta(microseconds=numbers.randrange(3 * 86_400_000_000) // 60_000_000 * 60_000_000)
        value = numbers.choice([None, math.nan, 0.0, -0.0, numbers.random(), numbers.gauss(0, 1e300)])
        yield shop, numbers.randrange(200), moment, moment + timedelta(hours=numbers.randrange(5)), value


TWO_KEYS = """
entities: [{name: shelf, join_keys: [{name: shop, type: string}, {name: number, type: int32}]}]
data_sources:
  - {name: table, type: postgres, connection: warehouse, table: sales.Shelves, timestamp_field: at,
     created_timestamp_column: created, field_mapping: {Shop Name: shop, "no.": number}}
  - {name: file, type: file, path: shelves.parquet, timestamp_field: at, created_timestamp_column: created}
feature_views:
  - {name: of_table, entities: [shelf], source: table, ttl: 12h, schema: [{name: value, type: float64}]}
  - {name: of_file, entities: [shelf], source: file, ttl: 12h, schema: [{name: value, type: float64}]}
"""


def bits(column):
    return column.combine_chunks().view(pa.int64()).to_pylist()


def test_answers_equal_those_of_the_same_rows_in_parquet(server, make_store, tmp_path):
    rows = [*random_rows(30_000)]
    fields = [("shop", pa.string()), ("number", pa.int32()), ("at", pa.timestamp("us", "UTC"))]
    schema = pa.schema([*fields, ("created", pa.timestamp("us", "UTC")), ("value", pa.float64())])
    columns = [pa.array(column, ty) for column, ty in zip(zip(*rows, strict=True), schema.types, strict=True)]
    (tmp_path / "repo").mkdir()
    pq.write_table(pa.table(columns, schema), tmp_path / "repo" / "shelves.parquet")
    server.run(
        'create schema sales; create table sales."Shelves" '
        '("Shop Name" varchar, "no." smallint, at timestamptz, created timestamp, value float8)'
    )
    lines = ("\t".join(text(value) for value in row) for row in rows)
    server.run('set timezone = utc; copy sales."Shelves" from stdin;\n' + "\n".join(lines) + "\n\\.\n")
    store = make_store(TWO_KEYS)
    numbers = random.Random(8)
    shops = ["bern", "zürich", "o'hare", "back\\slash", "東京", "", "nowhere"]
    for count in (3, 2_000):
        asked = {
            "shop": [numbers.choice(shops) for _ in range(count)],
            "number": pa.array([numbers.randrange(-5, 210) for _ in range(count)], pa.int32()),
            "event_timestamp": [at(0) + timedelta(minutes=numbers.randrange(3 * 1440)) for _ in range(count)],
        }
        for as_known in (False, True):
            answers = [
                store.get_historical_features(pa.table(asked), [f"{view}:value"], as_known=as_known).to_arrow()
                for view in ("of_table", "of_file")
            ]
            assert answers[0].schema == answers[1].schema
            assert bits(answers[0]["value"]) == bits(answers[1]["value"])
        assert count < 1_000 or answers[0]["value"].null_count < count


def text(value):
    if value is None:
        return "\\N"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value).replace("\\", "\\\\")


def drivers(server, name, rows=1000):
    server.run(
        f"create table {name} as select i as driver_id, i::float8 as score, "
        f"timestamptz '2024-01-01 00:00Z' + i * interval '1 minute' as at from generate_series(1, {rows}) as i; "
        f"create index on {name} (driver_id); analyze {name}"
    )


def test_only_what_the_questions_can_need_is_asked_of_the_server(server, make_store):
    drivers(server, "pruned")
    store = make_store(one_view("table: pruned", score="float64"))
    before = len(server.statements())
    asked = {"driver_id": [7, 8], "event_timestamp": [at(1), at(0, 8)]}
    table = store.get_historical_features(asked, ["stats:score"]).to_arrow()
    assert table["score"].to_pylist() == [7.0, 8.0]
    [copied] = [line for line in server.statements()[before:] if line.startswith("COPY")]
    assert "t.\"driver_id\" = ANY ('{7,8}'::int8[])" in copied
    assert "t.\"at\" <= '2024-01-01T01:00:00Z'::timestamptz" in copied
    many = {"driver_id": [*range(2, 902)], "event_timestamp": [at(20)] * 900}
    assert store.get_historical_features(many, ["stats:score"]).to_arrow()["score"].to_pylist()[-1] == 901.0
    assert "t.\"driver_id\" >= '2'::int8 AND t.\"driver_id\" <= '901'::int8" in server.statements()[-1]


def test_conditions_use_the_index_of_a_table_below_a_query(server, make_store):
    drivers(server, "indexed", 20_000)
    store = make_store(one_view('query: "select driver_id, at, score * 2 as score from indexed;"', score="float64"))
    server.run("select pg_stat_reset()")
    asked = {"driver_id": [70], "event_timestamp": [at(2)]}
    assert store.get_historical_features(asked, ["stats:score"]).to_arrow()["score"].to_pylist() == [140.0]
    read = "select pg_stat_get_tuples_returned('indexed'::regclass) || ' ' || idx_tup_read from pg_stat_user_indexes "
    seen = server.wait_for(read + "where relname = 'indexed' and idx_tup_read > 0")
    assert seen == "0 1"


def test_a_query_and_an_availability_delay(server, make_store):
    server.run(
        "create table trips as select 1 as driver_id, timestamptz '2024-01-01 08:00Z' + i * interval '1 hour' as at "
        "from generate_series(0, 4) as i"
    )
    hour = "date_trunc('hour', at, 'UTC') as at"
    query = f"select driver_id, {hour}, count(*) as trips -- each hour\\n from trips group by 1, 2"
    store = make_store(one_view(f'query: "{query}", availability_delay: 1h', trips="int64"))
    asked = {"driver_id": [1, 1], "event_timestamp": [at(8, 59), at(9)]}
    assert store.get_historical_features(asked, ["stats:trips"]).to_arrow()["trips"].to_pylist() == [None, 1]


def test_schemas_are_inferred_from_the_server(server, make_store):
    server.run("create table typed (driver_id bigint, at timestamptz, fare numeric(9, 2), tags text[], seen date)")
    store = make_store(one_view("table: typed"))
    asked = {"driver_id": [1], "event_timestamp": [at(12)]}
    schema = store.get_historical_features(asked, ["stats:fare", "stats:tags", "stats:seen"]).schema
    assert schema.types[2:] == [pa.decimal128(9, 2), pa.list_(pa.string()), pa.date32()]


@pytest.mark.parametrize(
    ("column", "ty"),
    [
        ("interval '1 hour'", "interval"),
        ("1.5", "numeric without a precision"),
        ("point(1, 2)", "point"),
        ("int4range(1, 2)", "int4range"),
        ("array[interval '1 hour']", r"interval\[\]"),
        ("1::numeric(40, 2)", r"numeric\(40, 2\)"),
    ],
)
def test_v2_types_that_are_not_read_are_refused_where_they_are_asked_for(server, make_store, column, ty):
    columns = f"1 as driver_id, timestamptz '2024-01-01 09:00Z' as at, {column} as odd, 2 as even"
    asked = {"driver_id": [1], "event_timestamp": [at(12)]}
    store = make_store(one_view(f'query: "select {columns}"', even="int64"))
    assert store.get_historical_features(asked, ["stats:even"]).to_arrow()["even"].to_pylist() == [2]
    with pytest.raises(InvalidError, match=f"'odd'.*PostgreSQL {ty}"):
        make_store(one_view(f'query: "select {columns}"', odd="string"))


@pytest.mark.parametrize(
    ("column", "ty", "message"),
    [
        ("'infinity'::timestamptz", "timestamp", "column 'odd' has the value 'infinity'.*nullif"),
        ("'-infinity'::date", "date", "column 'odd' has the value '-infinity'"),
        ("'nan'::numeric(5, 2)", "decimal(5, 2)", "column 'odd' has a number that is NaN"),
        ("array[[1, 2], [3, 4]]", "list<int32>", "column 'odd' has an array of 2 dimensions"),
    ],
)
def test_v2_values_that_can_not_be_held_name_their_column(server, make_store, column, ty, message):
    columns = f"1 as driver_id, timestamptz '2024-01-01 09:00Z' as at, {column} as odd"
    store = make_store(one_view(f'query: "select {columns}"', odd=ty))
    job = store.get_historical_features({"driver_id": [1], "event_timestamp": [at(12)]}, ["stats:odd"])
    with pytest.raises(InvalidError, match=message):
        job.to_arrow()


def test_keys_are_uuids_dates_and_bytes_too(server, make_store):
    one = uuid.UUID(int=1)
    server.run(
        "create table keyed as select "
        f"'{one}'::uuid as id, date '2024-01-01' as day, '\\x01'::bytea as mark, true as even, 5 as score"
    )
    keys = "{name: id, type: uuid}, {name: day, type: date}, {name: mark, type: bytes}, {name: even, type: bool}"
    store = make_store(
        f"""
entities: [{{name: all, join_keys: [{keys}]}}]
data_sources: [{{name: rows, type: postgres, table: keyed}}]
feature_views: [{{name: stats, entities: [all], source: rows, schema: [{{name: score, type: int64}}]}}]
"""
    )
    asked = {
        "id": [str(one), str(uuid.UUID(int=2))],
        "day": [date(2024, 1, 1)] * 2,
        "mark": [b"\1"] * 2,
        "even": [True] * 2,
    }
    assert store.get_historical_features(asked, ["stats:score"]).to_arrow()["score"].to_pylist() == [5, None]


def test_materialised_rows_are_read_online(server, make_store):
    drivers(server, "online")
    store = make_store(one_view("table: online", score="float64"))
    report = store.materialize(at(0), at(10), ["stats"])
    assert [view.rows_read for view in report.views] == [600]
    answer = store.get_online_features(["stats:score"], [{"driver_id": 600}, {"driver_id": 601}])
    assert answer.to_dict()["score"] == [600.0, None]
