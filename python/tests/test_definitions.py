import copy
import decimal
import json
import pickle
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lodestore import (
    Entity,
    FeatureService,
    FeatureView,
    FeatureViewProjection,
    Field,
    FileSource,
    ParquetFormat,
    PushSource,
    RequestSource,
    ValueType,
)
from lodestore._definition import duration_text, parse_duration
from lodestore._document import document, parse_document
from lodestore.errors import AlreadyExistsError, InvalidError, NotFoundError, UnsupportedError
from lodestore.types import Bytes, Decimal, Float32, Int64, Map, String, UnixTimestamp, Vector

GOLDEN = Path(__file__).parent / "golden" / "definitions.json"


def all_kinds():
    driver = Entity(
        name="driver",
        join_keys=["driver_id"],
        value_type=ValueType.INT64,
        description="who drives",
        tags={"team": "rides"},
        owner="rides@example.com",
    )
    trip = Entity(name="trip", join_keys=[("driver_id", Int64), ("city", String), "nr"], value_type=String)
    untyped = Entity(name="untyped", value_type=ValueType.UNKNOWN)
    stats = FileSource(
        name="stats",
        path=Path("data") / "stats",
        file_format=ParquetFormat(),
        event_timestamp_column="at",
        created_timestamp_column="created",
        availability_delay=timedelta(days=1, hours=12),
        field_mapping={"cr": "conv_rate"},
        description="daily",
        tags={"tier": "1"},
        owner="data@example.com",
    )
    prices_source = FileSource(path="prices.csv", valid_from="since", valid_to="until")
    stats_push = PushSource(name="stats_push", batch_source=stats)
    ride = RequestSource(name="ride", schema=[Field(name="fare", dtype=Decimal(12, 2))])
    driver_stats = FeatureView(
        name="driver_stats",
        source=stats_push,
        entities=[driver],
        ttl=timedelta(days=1, hours=1, minutes=1, seconds=1, milliseconds=1, microseconds=1),
        online=False,
        schema=[
            Field(
                name="conv_rate",
                dtype=Float32,
                default=0.5,
                description="share of accepted rides",
                tags={"pii": "no"},
            ),
            Field(name="seen", dtype=UnixTimestamp, default=datetime(2024, 1, 31, 12)),
            Field(name="photo", dtype=Bytes, default=b"\x00\xff"),
            Field(name="fare", dtype=Decimal, default=decimal.Decimal("1.50")),
            Field(name="labels", dtype=Map, default={"a": "b"}),
            Field(name="embedding", dtype=Vector(Float32, 2), default=[0.0, 1.0]),
        ],
        description="how drivers do",
        tags={"a": "b"},
        owner="me",
    )
    prices = FeatureView(name="prices", source=prices_source, ttl=None)
    by_name = FeatureView(name="by_name", source="stats", entities=["trip"])
    model = FeatureService(
        name="model",
        features=[
            driver_stats,
            driver_stats[["seen", "conv_rate"]].with_name("twice").with_join_key_map({"driver_id": "other_driver_id"}),
            "by_name@3:x",
            "prices",
        ],
        description="what the model reads",
        tags={"v": "1"},
        owner="me",
    )
    return [driver, trip, untyped, stats, prices_source, stats_push, ride, driver_stats, prices, by_name, model]


def test_definitions_are_written_as_the_golden_document():
    assert json.loads(document(all_kinds())) == json.loads(GOLDEN.read_text())


def test_a_document_gives_the_definitions_again_with_their_references():
    read = parse_document(GOLDEN.read_text())
    objects = [one for section in read for one in section.values()]
    assert objects == all_kinds()
    assert json.loads(document(objects)) == json.loads(GOLDEN.read_text())
    assert read.feature_views["driver_stats"].source is read.data_sources["stats_push"]
    assert read.data_sources["stats_push"].batch_source is read.data_sources["stats"]
    assert read.feature_views["driver_stats"].entities == [read.entities["driver"]]
    assert read.feature_services["model"].features[0].view is read.feature_views["driver_stats"]
    assert read.feature_services["model"].features[2].view == "by_name@3"
    assert read.feature_views["driver_stats"].ttl == timedelta(days=1, seconds=3661, microseconds=1001)


def test_what_an_object_was_given_comes_along():
    *_, view, _, _, _ = all_kinds()
    service = FeatureService(name="one", features=[view[["seen"]]])
    sections = json.loads(document([service]))
    names = {section: [one["name"] for one in sections[section]] for section in sections if section != "version"}
    assert names == {
        "entities": ["driver"],
        "data_sources": ["stats_push", "stats"],
        "feature_views": ["driver_stats"],
        "feature_services": ["one"],
    }


def test_objects_are_equal_by_content():
    for one, other in zip(all_kinds(), all_kinds(), strict=True):
        assert one == other
        assert copy.deepcopy(one) == one
        assert pickle.loads(pickle.dumps(one)) == one
    assert Entity(name="a") != Entity(name="a", tags={"x": "y"})
    assert Entity(name="a") != FeatureService(name="a", features=["a"])
    assert Field(name="a", dtype=Int64) != Field(name="a", dtype=Int64, default=0)
    assert FileSource(name="a", path="p") != PushSource(name="a")


def test_reprs_show_what_was_given():
    assert repr(Entity(name="a", value_type=Int64)) == "Entity(name='a', join_keys=[JoinKey(name='a', dtype=Int64)])"
    view = FeatureView(name="v", source="s", schema=[Field(name="x", dtype=Int64, default=0)], online=False)
    assert repr(view) == (
        "FeatureView(name='v', source='s', schema=[Field(name='x', dtype=Int64, default=0)], online=False)"
    )
    assert repr(view[["x"]].with_name("w")) == "FeatureViewProjection('v', features=['x'], alias='w')"
    assert str(view) == "feature view 'v'"


def test_the_same_object_twice_is_one_and_different_ones_are_refused_with_both_places():
    line = sys._getframe().f_lineno + 1
    first = Entity(name="a")
    second = Entity(name="a", owner="me")
    assert json.loads(document([first, first, Entity(name="a")]))["entities"] == [first.to_document()]
    with pytest.raises(AlreadyExistsError) as error:
        document([first, second])
    assert str(error.value) == f"entity 'a' is defined twice, differently: {__file__}:{line} and {__file__}:{line + 1}"
    # One name may be used for objects of several kinds.
    assert document([first, FeatureView(name="a", source="a"), FileSource(name="a", path="p")])
    with pytest.raises(AlreadyExistsError, match="data source 'a'"):
        document([PushSource(name="a"), FileSource(name="a", path="p")])


def test_what_is_no_definition_is_refused():
    with pytest.raises(TypeError, match="not 'driver'"):
        document(["driver"])


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", timedelta(0)),
        ("1us", timedelta(microseconds=1)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h 30m", timedelta(minutes=90)),
        ("14d", timedelta(weeks=2)),
        ("1m 30s", timedelta(seconds=90)),
    ],
)
def test_durations_are_written_and_read_again(text, length):
    assert duration_text(length) == text
    assert parse_duration(text) == length


def test_a_week_is_read():
    assert parse_duration("2w1d") == timedelta(days=15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Entity(name=7), "entity: name must be text that is not empty, not 7"),
        (lambda: Entity(name=""), "entity: name must be text"),
        (lambda: Entity(name="a", join_keys="a_id"), "entity 'a': join_keys must be a list"),
        (lambda: Entity(name="a", join_keys=[1]), "entity 'a': a join key must be a name or a pair"),
        (lambda: Entity(name="a", value_type=int), "entity 'a': value_type must be a ValueType"),
        (lambda: Entity(name="a", tags={"a": 1}), "entity 'a': tags must be a dict of text to text"),
        (lambda: Entity(name="a", description=None), "entity 'a': description must be text"),
        (lambda: FileSource(path=7), "file source: path must be text or a path"),
        (lambda: FileSource(path="p", file_format="csv"), "data source 'p': file_format must be a format"),
        (
            lambda: FileSource(path="p", availability_delay=60),
            "data source 'p': availability_delay must be a timedelta",
        ),
        (lambda: FileSource(path="p", timestamp_field=["at"]), "data source 'p': timestamp_field must be text"),
        (lambda: PushSource(name="p", batch_source=7), "data source 'p': batch_source must be a data source"),
        (lambda: RequestSource(name="r", schema=["x"]), "data source 'r': schema must be a list of Field"),
        (lambda: FeatureView(name="v", source=None), "feature view 'v': source must be a data source or its name"),
        (lambda: FeatureView(name="v", source="s", ttl=90), "feature view 'v': ttl must be a timedelta"),
        (
            lambda: FeatureView(name="v", source="s", entities=[1]),
            "feature view 'v': entities must be a list of Entity",
        ),
        (lambda: FeatureView(name="v", source="s", online=1), "feature view 'v': online must be True or False"),
        (
            lambda: FeatureView(name="v", source="s", colour="red"),
            "feature view 'v': unexpected keyword argument 'colour'",
        ),
        (lambda: FeatureView(name="v", source="s")["x"], "features are picked by a list of names"),
        (lambda: FeatureService(name="s", features="v:f"), "feature service 's': features must be a list"),
        (lambda: FeatureService(name="s", features=[1]), "feature service 's': features must be feature views"),
        (
            lambda: Field(name="f", dtype=Int64, default=object()),
            "field 'f': default must be a Python value of type int64",
        ),
        (lambda: Entity("a"), "positional argument"),
    ],
)
def test_wrong_types_are_refused_by_name(make, message):
    with pytest.raises(TypeError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: FileSource(path="p", timestamp_field="a", event_timestamp_column="b"),
            "data source 'p': timestamp_field and event_timestamp_column are two names of one setting",
        ),
        (
            lambda: FeatureView(name="v", source="s", ttl=timedelta(-1)),
            "feature view 'v': ttl must not be negative",
        ),
        (lambda: Field(name="f", dtype=Float32, default=float("nan")), "field 'f': the default nan can't be written"),
    ],
)
def test_wrong_values_are_refused_by_name(make, message):
    with pytest.raises(InvalidError) as error:
        make()
    assert message in str(error.value)


def test_arguments_that_only_feast_has_may_be_given_as_their_default():
    view = FeatureView(name="v", source="s", offline=False, version="latest", enabled=True, mode=None)
    assert view == FeatureView(name="v", source="s")
    assert Field(name="f", dtype=Int64, vector_index=False) == Field(name="f", dtype=Int64)
    with pytest.raises(UnsupportedError, match=r"feature view 'v': offline=True is not supported; history is in"):
        FeatureView(name="v", source="s", offline=True)
    with pytest.raises(UnsupportedError, match=r"field 'f': vector_length=3 .*Vector\(Float32, n\)"):
        Field(name="f", dtype=Float32, vector_length=3)
    with pytest.raises(UnsupportedError, match="data source 'p': s3_endpoint_override="):
        FileSource(path="p", s3_endpoint_override="http://x")
    with pytest.raises(UnsupportedError, match="feature service 's': precompute_online=True"):
        FeatureService(name="s", features=["v"], precompute_online=True)


def test_projections_do_not_change_their_view_and_name_unknown_features():
    view = FeatureView(name="v", source="s", schema=[Field(name="x", dtype=Int64)])
    before = view.to_document()
    first = view[["x"]]
    second = first.with_name("w")
    assert (first.alias, second.alias, second.features) == (None, "w", ["x"])
    assert view.to_document() == before
    assert first == FeatureViewProjection("v", features=["x"])
    with pytest.raises(NotFoundError) as error:
        view[["y"]]
    assert str(error.value) == "feature view 'v' has no feature 'y'; its schema: x"
