//! Plans as they print, and rules N1 to N3.

mod shop;

use lodestore_core::definition::{ObjectId, ObjectKind};
use lodestore_core::registry::{MemoryRegistry, Snapshot};
use lodestore_core::{Error, ErrorKind, Result};
use lodestore_registry::plan::{Action, Effect, Plan, PlanOptions, Scope};
use shop::{SHOP, Shop, at};

fn shop() -> Shop<MemoryRegistry> {
    Shop::new(MemoryRegistry::new())
}

/// Returns the plan of the shop with one text replaced by another, with everything wanted.
fn plan_of(shop: &Shop<MemoryRegistry>, from: &str, to: &str) -> Result<Plan> {
    shop.plan(&replaced(from, to), &PlanOptions::default())
}

fn replaced(from: &str, to: &str) -> String {
    assert!(SHOP.contains(from), "{from}");
    SHOP.replace(from, to)
}

fn subset(remove: &[(ObjectKind, &str)]) -> PlanOptions {
    let remove = remove.iter().map(|(kind, name)| ObjectId::new(*kind, name)).collect();
    PlanOptions { scope: Scope::Subset { remove }, force: false }
}

fn forced(options: PlanOptions) -> PlanOptions {
    PlanOptions { force: true, ..options }
}

fn effects(plan: &Plan, name: &str) -> Vec<Effect> {
    let step = plan.steps.iter().find(|step| step.id.name == name);
    step.map(|step| step.effects.clone()).unwrap_or_default()
}

fn prepared_and_retired(plan: &Plan) -> (Vec<String>, Vec<String>) {
    (
        plan.prepared_views().iter().map(|v| v.to_string()).collect(),
        plan.retired_views().iter().map(|v| v.to_string()).collect(),
    )
}

fn pin(snapshot: &Snapshot, service: &str) -> Option<u32> {
    snapshot.pins.get(service).and_then(|pins| pins.get("driver_stats")).copied()
}

const NEW_PATH: (&str, &str) = ("path: stats.parquet", "path: stats_v2.parquet");

#[test]
fn a_first_plan_creates_everything_in_order() -> Result<()> {
    let plan = shop().plan(SHOP, &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    + entity 'driver'
        join_keys.driver_id: int64
    + data source 'live_trips'
        type: push
        batch_source: trip_log
    + data source 'stats'
        type: file
        path: stats.parquet
        timestamp_field: at
    + data source 'trip_log'
        type: file
        path: trips.csv
        timestamp_field: at
    + feature view 'driver_stats'
        entities: [driver]
        schema.conv_rate: float32
        schema.trips: int64
        source: stats
        ttl: 1d
        online: true
        is version 1; needs materializing
    + feature view 'trips'
        entities: [driver]
        schema.fare: float64, default: 0
        source: live_trips
        online: true
        is version 1; needs materializing
    + feature service 'model_v1'
        features: [driver_stats:conv_rate]
        pins version 1 of 'driver_stats'

    7 to add, 0 to change, 0 to remove
    ");
    assert_eq!(prepared_and_retired(&plan), (vec!["shop/driver_stats@1".into(), "shop/trips@1".into()], vec![]));
    Ok(())
}

#[test]
fn a_plan_right_after_an_apply_is_empty_and_commits_nothing() -> Result<()> {
    let shop = shop();
    assert_eq!(shop.apply(SHOP, &PlanOptions::default())?, 1);
    let plan = shop.plan(SHOP, &PlanOptions::default())?;
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.to_string(), "nothing to change in project 'shop'\n");
    assert_eq!(shop.apply(SHOP, &PlanOptions::default())?, 1);
    assert_eq!(shop.history()?.len(), 1);
    Ok(())
}

#[test]
fn n1_words_and_ttl_change_a_view_within_its_version() -> Result<()> {
    let shop = shop().applied()?;
    let text = replaced("ttl: 1d", "ttl: 2d\n    owner: me\n    tags: {team: a}");
    let plan = shop.plan(&text, &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    ~ feature view 'driver_stats'
        ttl: 1d -> 2d
        + tags.team: a
        + owner: me
        stays version 1
        read by feature service 'model_v1' on version 1

    0 to add, 1 to change, 0 to remove
    ");
    shop.apply(&text, &PlanOptions::default())?;
    let history = &shop.load()?.views["driver_stats"];
    assert_eq!((history.current, history.versions.len()), (1, 1));
    let version = &history.versions[&1];
    assert_eq!(version.created_at, at(0));
    assert_eq!(version.ttl().map(|ttl| ttl.to_string()).as_deref(), Some("2d"));
    Ok(())
}

#[test]
fn n1_content_changes_add_a_version() -> Result<()> {
    for (from, to) in [
        ("{name: trips, type: int64}", "{name: trips, type: int64}, {name: more, type: bool}"),
        ("name: conv_rate, type: float32", "name: conv_rate, type: float64"),
        NEW_PATH,
        ("name: driver_id, type: int64", "name: driver_id, type: string"),
        ("timestamp_field: at", "timestamp_field: at, availability_delay: 1h"),
    ] {
        let shop = shop().applied()?;
        let plan = plan_of(&shop, from, to)?;
        let expected = Effect::AddsVersion { number: 2, beside: Some(1), needs_materializing: true };
        assert_eq!(effects(&plan, "driver_stats").first(), Some(&expected), "{from} -> {to}\n{plan}");
        assert!(effects(&plan, "model_v1").contains(&Effect::ServicePinsMove {
            view: "driver_stats".parse()?,
            from: 1,
            to: 2
        }));
    }
    Ok(())
}

#[test]
fn n1_a_changed_source_adds_a_version_to_views_that_are_not_applied() -> Result<()> {
    let shop = shop().applied()?;
    let source = "
version: 1
data_sources: [{type: file, name: stats, path: stats_v2.parquet, timestamp_field: at}]
";
    let plan = shop.plan(source, &subset(&[]))?;
    insta::assert_snapshot!(plan, @r"
    ~ data source 'stats'
        path: stats.parquet -> stats_v2.parquet
    ~ feature view 'driver_stats'
        adds version 2 beside version 1; needs materializing
        follows from the change of data source 'stats'
        read by feature service 'model_v1', which stays on version 1 until it is applied again

    0 to add, 2 to change, 0 to remove
    ");
    shop.apply(source, &subset(&[]))?;
    let snapshot = shop.load()?;
    assert_eq!(snapshot.views["driver_stats"].current, 2);
    assert_eq!(pin(&snapshot, "model_v1"), Some(1));
    Ok(())
}

#[test]
fn n2_versions_live_side_by_side_and_an_older_content_returns_to_its_version() -> Result<()> {
    let shop = shop().applied()?;
    shop.apply(&replaced(NEW_PATH.0, NEW_PATH.1), &PlanOptions::default())?;
    assert_eq!(shop.load()?.views["driver_stats"].versions.keys().copied().collect::<Vec<_>>(), [1, 2]);

    let plan = shop.plan(SHOP, &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    ~ data source 'stats'
        path: stats_v2.parquet -> stats.parquet
    ~ feature view 'driver_stats'
        returns from version 2 to version 1, with the online rows it has
        follows from the change of data source 'stats'
        read by feature service 'model_v1', which moves from version 2 to version 1
    ~ feature service 'model_v1'
        moves from version 2 to version 1 of 'driver_stats'

    0 to add, 3 to change, 0 to remove
    ");
    shop.apply(SHOP, &PlanOptions::default())?;
    let history = &shop.load()?.views["driver_stats"];
    assert_eq!((history.current, history.versions.len()), (1, 2));
    assert_eq!(history.versions[&1].created_at, at(0));

    let third = shop.plan(&replaced("path: stats.parquet", "path: stats_v3.parquet"), &PlanOptions::default())?;
    assert!(matches!(effects(&third, "driver_stats")[0], Effect::AddsVersion { number: 3, beside: Some(1), .. }));
    Ok(())
}

#[test]
fn n2_a_service_keeps_its_pins_until_it_is_applied_again() -> Result<()> {
    let shop = shop().applied()?;
    // The current version loses a feature that the pinned one has: no harm to who pins that.
    let view = "
version: 1
feature_views:
  - {name: driver_stats, entities: [driver], source: stats, ttl: 1d, schema: [{name: trips, type: int64}]}
";
    shop.apply(view, &subset(&[]))?;
    let snapshot = shop.load()?;
    assert_eq!((snapshot.views["driver_stats"].current, pin(&snapshot, "model_v1")), (2, Some(1)));

    let error = shop.plan(SERVICE, &subset(&[])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("unknown feature 'conv_rate' in view 'driver_stats'"), "{error}");

    let plan = shop.plan(&SERVICE.replace("conv_rate", "trips"), &subset(&[]))?;
    insta::assert_snapshot!(plan, @r"
    ~ feature service 'model_v1'
        + features: driver_stats:trips
        - features: driver_stats:conv_rate
        moves from version 1 to version 2 of 'driver_stats'

    0 to add, 1 to change, 0 to remove
    ");
    Ok(())
}

const SERVICE: &str = "
version: 1
feature_services: [{name: model_v1, features: ['driver_stats:conv_rate']}]
";

#[test]
fn n2_a_service_may_name_versions_that_are_there() -> Result<()> {
    let shop = shop().applied()?;
    shop.apply(&replaced(NEW_PATH.0, NEW_PATH.1), &PlanOptions::default())?;
    let service = |features: &str| SERVICE.replace("driver_stats:conv_rate", features);
    shop.apply(&service("driver_stats@1:conv_rate"), &subset(&[]))?;
    assert_eq!(pin(&shop.load()?, "model_v1"), Some(1));

    let check = |features: &str, message: &str| {
        let error = shop.plan(&service(features), &subset(&[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(message), "{error}\n does not contain {message}");
    };
    check(
        "driver_stats@7:conv_rate",
        "unknown version 7 of view 'driver_stats'; known: 1, 2 (feature service: model_v1)",
    );
    check("driver_stats@1:convrate", "unknown feature 'convrate' in view 'driver_stats'; did you mean 'conv_rate'?");

    // The service names version 1, so another version of the view is none of its business.
    let text = replaced("path: stats.parquet", "path: stats_v3.parquet")
        .replace("features: ['driver_stats:conv_rate']", "features: ['driver_stats@1:conv_rate']");
    let plan = shop.plan(&text, &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    ~ data source 'stats'
        path: stats_v2.parquet -> stats_v3.parquet
    ~ feature view 'driver_stats'
        adds version 3 beside version 2; needs materializing
        follows from the change of data source 'stats'
        read by feature service 'model_v1', which names version 1

    0 to add, 2 to change, 0 to remove
    ");
    Ok(())
}

#[test]
fn n3_a_pinned_view_is_not_removed_unless_forced() -> Result<()> {
    let shop = shop().applied()?;
    let nothing = "version: 1";
    let remove = subset(&[(ObjectKind::FeatureView, "driver_stats")]);
    let plan = shop.plan(nothing, &remove)?;
    insta::assert_snapshot!(plan, @r"
    - feature view 'driver_stats'
        drops the online rows of version 1
        read by feature service 'model_v1' on version 1

    blocked, since it drops what feature services pin:
      feature service 'model_v1' pins version 1 of 'driver_stats', which would be removed
    change those services first, or force the plan

    0 to add, 0 to change, 1 to remove
    ");
    assert_eq!(plan.blockers().len(), 1);
    let error = shop.apply(nothing, &remove).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("feature service 'model_v1' pins version 1 of 'driver_stats'"), "{error}");
    assert_eq!(shop.load()?.revision, 1);

    let plan = shop.plan(nothing, &forced(remove.clone()))?;
    insta::assert_snapshot!(plan, @r"
    - feature service 'model_v1'
        removed by force, since it reads feature view 'driver_stats'
    - feature view 'driver_stats'
        drops the online rows of version 1

    0 to add, 0 to change, 2 to remove
    ");
    assert_eq!(prepared_and_retired(&plan), (vec![], vec!["shop/driver_stats@1".into()]));
    shop.apply(nothing, &forced(remove))?;
    let snapshot = shop.load()?;
    assert!(snapshot.pins.is_empty() && snapshot.definitions.feature_services.is_empty());
    assert!(!snapshot.views.contains_key("driver_stats") && snapshot.views.contains_key("trips"));
    Ok(())
}

#[test]
fn n3_a_view_goes_with_the_services_that_are_removed_or_applied_without_it() -> Result<()> {
    let both = [(ObjectKind::FeatureView, "driver_stats"), (ObjectKind::FeatureService, "model_v1")];
    let shop = shop().applied()?;
    assert!(shop.plan("version: 1", &subset(&both))?.blockers().is_empty());
    let moved = SERVICE.replace("driver_stats:conv_rate", "trips:fare");
    let plan = shop.plan(&moved, &subset(&both[..1]))?;
    assert!(plan.blockers().is_empty(), "{plan}");
    assert_eq!(effects(&plan, "model_v1"), [Effect::ServicePins { view: "trips".parse()?, version: 1 }]);
    Ok(())
}

#[test]
fn n3_the_online_rows_of_a_pinned_version_are_not_dropped_unless_forced() -> Result<()> {
    let shop = shop().applied()?;
    let text = replaced("ttl: 1d", "ttl: 1d\n    online: false");
    let plan = shop.plan(&text, &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    ~ feature view 'driver_stats'
        online: true -> false
        stays version 1
        drops the online rows of version 1
        read by feature service 'model_v1' on version 1

    blocked, since it drops what feature services pin:
      feature service 'model_v1' pins version 1 of 'driver_stats', whose online rows would be dropped
    change those services first, or force the plan

    0 to add, 1 to change, 0 to remove
    ");
    assert_eq!(shop.apply(&text, &PlanOptions::default()).unwrap_err().kind(), ErrorKind::Invalid);

    let options = forced(PlanOptions::default());
    let plan = shop.plan(&text, &options)?;
    assert_eq!(plan.summary(), "0 to add, 1 to change, 0 to remove");
    assert_eq!(prepared_and_retired(&plan), (vec![], vec!["shop/driver_stats@1".into()]));
    shop.apply(&text, &options)?;

    let back = shop.plan(SHOP, &PlanOptions::default())?;
    let opens = Effect::OpensOnlineRows { version: 1, needs_materializing: true };
    assert_eq!(effects(&back, "driver_stats"), [Effect::KeepsVersion { number: 1 }, opens]);
    assert_eq!(prepared_and_retired(&back), (vec!["shop/driver_stats@1".into()], vec![]));
    Ok(())
}

#[test]
fn removing_everything_goes_backwards() -> Result<()> {
    let shop = shop().applied()?;
    shop.apply(&replaced(NEW_PATH.0, NEW_PATH.1), &PlanOptions::default())?;
    let plan = shop.plan("version: 1", &PlanOptions::default())?;
    insta::assert_snapshot!(plan, @r"
    - feature service 'model_v1'
    - feature view 'trips'
        drops the online rows of version 1
    - feature view 'driver_stats'
        drops the online rows of 2 versions
    - data source 'trip_log'
    - data source 'stats'
    - data source 'live_trips'
    - entity 'driver'

    0 to add, 0 to change, 7 to remove
    ");
    assert_eq!(plan.count(Action::Remove), plan.steps.len());
    shop.apply("version: 1", &PlanOptions::default())?;
    assert_eq!(shop.load()?, Snapshot { revision: 3, ..Snapshot::empty("shop".parse()?) });
    Ok(())
}

#[test]
fn what_is_used_is_not_removed() -> Result<()> {
    let shop = shop().applied()?;
    let check = |text: &str, remove: &[(ObjectKind, &str)], kind: ErrorKind, message: &str| {
        let error: Error = shop.plan(text, &subset(remove)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
    };
    check(
        "version: 1",
        &[(ObjectKind::Entity, "driver")],
        ErrorKind::Invalid,
        "entity 'driver' can't be removed: used by feature view 'driver_stats', feature view 'trips'; \
         remove or change that too",
    );
    check(
        "version: 1",
        &[(ObjectKind::DataSource, "trip_log")],
        ErrorKind::Invalid,
        "data source 'trip_log' can't be removed: used by data source 'live_trips', feature view 'trips'; \
         remove or change that too",
    );
    check(
        "version: 1",
        &[(ObjectKind::FeatureView, "driver_stat")],
        ErrorKind::NotFound,
        "unknown feature view 'driver_stat'; did you mean 'driver_stats'?",
    );
    check(
        SERVICE,
        &[(ObjectKind::FeatureService, "model_v1")],
        ErrorKind::Invalid,
        "feature service 'model_v1' is both wanted and to be removed; give it once",
    );
    let without_entity = replaced("  - {name: driver, join_keys: [{name: driver_id, type: int64}]}\n", "");
    let error = shop.plan(&without_entity, &PlanOptions::default()).unwrap_err();
    assert!(error.message().starts_with("entity 'driver' can't be removed: used by"), "{error}");
    Ok(())
}

#[test]
fn definitions_that_do_not_fit_together_are_refused() -> Result<()> {
    let error = plan_of(&shop(), "source: stats", "source: stat").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("unknown data source 'stat'; did you mean 'stats'?"), "{error}");
    Ok(())
}

#[test]
fn another_grouping_of_the_same_features_is_no_change() -> Result<()> {
    let shop = shop().applied()?;
    let text = replaced("['driver_stats:conv_rate']", "[{view: driver_stats, features: [conv_rate]}]");
    assert!(shop.plan(&text, &PlanOptions::default())?.is_empty());
    Ok(())
}

#[test]
fn a_plan_made_for_an_older_revision_is_a_conflict() -> Result<()> {
    let shop = shop().applied()?;
    let stale = plan_of(&shop, "ttl: 1d", "ttl: 2d")?;
    shop.apply(&replaced("ttl: 1d", "ttl: 3d"), &PlanOptions::default())?;
    let error = shop.apply_plan(&stale).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    Ok(())
}

#[test]
fn a_plan_is_json_for_programs_and_lines_for_the_history() -> Result<()> {
    let shop = shop().applied()?;
    let text = replaced(NEW_PATH.0, NEW_PATH.1);
    let json = shop.plan(&text, &PlanOptions::default())?.to_json();
    assert_eq!(json["summary"].to_string(), r#"{"add":0,"change":3,"remove":0}"#);
    assert_eq!((json["base_revision"].as_u64(), json["blockers"].to_string().as_str()), (Some(1), "[]"));
    insta::assert_snapshot!(json["steps"][0], @r#"
    {"action":"update","object":{"kind":"data_source","name":"stats"},"changes":[{"path":"path","before":"stats.parquet","after":"stats_v2.parquet"}],"effects":[],"consumers":[]}
    "#);
    insta::assert_snapshot!(json["steps"][1], @r#"
    {"action":"update","object":{"kind":"feature_view","name":"driver_stats"},"changes":[],"effects":[{"kind":"adds_version","number":2,"beside":1,"needs_materializing":true},{"kind":"follows_from","object":{"kind":"data_source","name":"stats"}}],"consumers":[{"service":"model_v1","reads":"moves_to","version":2,"from":1}]}
    "#);
    insta::assert_snapshot!(json["steps"][2], @r#"
    {"action":"update","object":{"kind":"feature_service","name":"model_v1"},"changes":[],"effects":[{"kind":"service_pins_move","view":"driver_stats","from":1,"to":2}],"consumers":[]}
    "#);
    shop.apply(&text, &PlanOptions::default())?;
    let newest = shop.history()?.remove(0);
    assert_eq!((newest.revision, newest.by.as_str()), (2, "tester"));
    insta::assert_snapshot!(newest.changes.join("\n"), @r"
    ~ data source 'stats': path: stats.parquet -> stats_v2.parquet
    ~ feature view 'driver_stats': adds version 2 beside version 1; needs materializing; follows from the change of data source 'stats'
    ~ feature service 'model_v1': moves from version 1 to version 2 of 'driver_stats'
    ");
    Ok(())
}
