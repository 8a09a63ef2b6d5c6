"""Definitions through the store: plan, apply, list, get, delete, versions."""

import pytest

from lodestore import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from lodestore.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    LodestoreError,
    NotFoundError,
)
from lodestore.types import Int64, String


def names(objects):
    return [one.name for one in objects]


def test_a_store_is_opened_by_folder_by_file_and_by_settings(repo_path, tmp_path, monkeypatch):
    other = tmp_path / "other.yaml"
    other.write_text("project: other\nregistry: data/registry.db\n")
    assert FeatureStore(repo_path).project == "demo"
    assert FeatureStore(str(repo_path), fs_yaml_file=other).project == "other"
    assert FeatureStore(repo_path, config={"project": "third", "registry": "data/registry.db"}).project == "third"
    monkeypatch.chdir(repo_path)
    assert repr(FeatureStore()) == "<FeatureStore of project 'demo'>"
    with pytest.raises(TypeError, match="config must be a dict"):
        FeatureStore(config="project: x")
    with pytest.raises(InvalidError):
        FeatureStore(fs_yaml_file=other, config={"project": "x"})


def test_a_folder_without_settings_is_told(tmp_path):
    with pytest.raises(NotFoundError, match=r"feature_store\.yaml"):
        FeatureStore(tmp_path)


def test_the_repository_is_planned_then_applied(repo_path):
    store = FeatureStore(repo_path)
    plan = store.plan()
    assert not plan.is_empty
    assert "driver_stats" in str(plan)
    steps = [(step["action"], step["object"]["kind"], step["object"]["name"]) for step in plan.to_dict()["steps"]]
    assert ("create", "feature_view", "driver_stats") in steps
    assert store.list_entities() == []
    assert store.apply(plan) is plan
    assert names(store.list_entities()) == ["driver", "place"]
    assert names(store.list_data_sources()) == ["driver_push", "driver_stats_source", "places_source"]
    assert names(store.list_feature_views()) == ["driver_live", "driver_stats", "places"]
    assert names(store.list_feature_services()) == ["driver_model", "trip_model"]
    assert store.plan().is_empty
    assert names(FeatureStore(repo_path).list_entities()) == ["driver", "place"]


def test_applying_the_repository_removes_what_is_no_longer_in_it(applied, repo_path):
    applied.apply(Entity(name="extra", value_type=Int64))
    assert "extra" in names(applied.list_entities())
    applied.apply()
    assert names(applied.list_entities()) == ["driver", "place"]


def test_what_is_applied_comes_back_equal(applied):
    city = Entity(name="city", value_type=String, description="d", tags={"a": "b"}, owner="o")
    source = FileSource(name="weather_source", path="data/weather.csv", timestamp_field="at", description="x")
    view = FeatureView(name="weather", entities=[city], source=source, schema=[Field(name="t", dtype=Int64, default=1)])
    service = FeatureService(name="forecast", features=[view[["t"]].with_name("w").with_join_key_map({"city": "town"})])
    applied.apply([service])
    assert applied.get_entity("city") == city
    assert applied.get_data_source("weather_source") == source
    assert applied.get_feature_view("weather") == view
    assert applied.get_feature_view("weather").source == source
    assert applied.get_feature_service("forecast") == service
    assert applied.get_feature_service("forecast").features[0].view == view


def test_unknown_names_are_answered_with_near_ones(applied):
    with pytest.raises(NotFoundError, match=r"unknown feature view 'driver_stat'.*'driver_stats'") as error:
        applied.get_feature_view("driver_stat")
    assert isinstance(error.value, KeyError)
    assert isinstance(error.value, LodestoreError)
    for get in (applied.get_entity, applied.get_data_source, applied.get_feature_service):
        with pytest.raises(NotFoundError):
            get("none")
    with pytest.raises(NotFoundError):
        applied.list_feature_view_versions("none")


def test_definitions_that_do_not_fit_are_refused_and_nothing_changes(applied):
    before = applied.list_feature_views()
    with pytest.raises(NotFoundError, match="nobody"):
        applied.apply(FeatureView(name="v", entities=["nobody"], source="driver_stats_source"))
    with pytest.raises(InvalidError, match="a:b"):
        applied.plan(Entity(name="a:b"))
    with pytest.raises(AlreadyExistsError, match="defined twice"):
        applied.plan([Entity(name="a"), Entity(name="a", owner="me")])
    with pytest.raises(TypeError, match="not 'driver'"):
        applied.apply(["driver"])
    assert applied.list_feature_views() == before


def test_removing_is_asked_for(applied):
    service = applied.get_feature_service("trip_model")
    with pytest.raises(InvalidError, match="objects_to_delete needs partial=False"):
        applied.apply([], objects_to_delete=[service])
    applied.apply([], objects_to_delete=[service], partial=False)
    assert names(applied.list_feature_services()) == ["driver_model"]
    applied.delete_feature_service("driver_model")
    assert applied.list_feature_services() == []
    with pytest.raises(NotFoundError):
        applied.delete_feature_service("driver_model")


def test_n3_what_a_service_pins_is_removed_by_force_alone(applied):
    with pytest.raises(InvalidError, match="driver_model"):
        applied.delete_feature_view("driver_stats")
    assert "driver_stats" in names(applied.list_feature_views())
    applied.delete_feature_view("driver_stats", force=True)
    assert "driver_stats" not in names(applied.list_feature_views())


def test_a_plan_of_an_older_state_is_a_conflict(applied, repo_path):
    plan = applied.plan(Entity(name="late", value_type=Int64))
    FeatureStore(repo_path).apply(Entity(name="early", value_type=Int64))
    with pytest.raises(ConflictError):
        applied.apply(plan)
    applied.refresh_registry()
    assert names(applied.list_entities()) == ["driver", "early", "place"]


def test_n1_versions_are_listed(applied):
    view = applied.get_feature_view("driver_stats")
    view.description = "words make no version"
    applied.apply(view)
    assert [version.version for version in applied.list_feature_view_versions("driver_stats")] == [1]
    applied.apply(FeatureView.from_document({**view.to_document(), "schema": [{"name": "trips", "type": "int64"}]}))
    first, second = applied.list_feature_view_versions("driver_stats")
    assert (first.version, first.current, second.version, second.current) == (1, False, 2, True)
    assert first.hash != second.hash
    assert first.created_at <= second.created_at
    assert first.created_at.utcoffset().total_seconds() == 0


def test_teardown_removes_definitions_and_online_rows(store, repo_path):
    store.teardown()
    assert store.list_feature_views() == []
    store.apply()
    answer = store.get_online_features(["driver_stats:trips"], [{"driver_id": 1001}])
    assert answer.statuses() == {"trips": ["NOT_FOUND"]}
    assert (repo_path / "data" / "driver_stats.csv").exists()


def test_a_python_file_that_fails_is_named_with_its_line(repo_path):
    (repo_path / "broken.py").write_text("\nundefined\n")
    with pytest.raises(InvalidError, match=r"broken\.py:2: NameError"):
        FeatureStore(repo_path).plan()
