use arrow::datatypes::{DataType, Field as ArrowField, Schema};

use crate::ErrorKind;
use crate::definition::{Definitions, ViewVersion};
use crate::document::Document;
use crate::error::Result;
use crate::time::EventTime;

const GOOD: &str = "
version: 1
entities:
  - {name: carrier, join_keys: [{name: carrier_id, type: int64}]}
data_sources:
  - {type: file, name: flights, path: flights.parquet, timestamp_field: at, event_id: flight_id}
  - {type: push, name: live, batch_source: flights}
  - {type: push, name: pushed_only}
feature_views:
  - name: delays
    entities: [carrier]
    source: flights
    aggregations:
      - {column: arr_delay, function: mean, time_window: 24h}
      - {column: dest, function: max_by, by: dep_delay, time_window: lifetime}
      - {function: count, time_window: 1h, where: dep_delay > 15}
      - {column: arr_delay, function: max, group_by: dest, time_window: 7d, name: worst}
    inputs:
      - {name: arr_delay, type: float32}
      - {name: dep_delay, type: int32}
      - {name: dest, type: string}
";

fn definitions(text: &str) -> Result<Definitions> {
    Document::parse_yaml(text, "test.yaml")?.into_definitions()
}

fn version(text: &str) -> Result<ViewVersion> {
    let definitions = definitions(text)?;
    definitions.check()?;
    definitions.resolve(&definitions.feature_views["delays"], EventTime::MIN, 1)
}

fn replaced(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

#[test]
fn the_features_are_what_the_aggregations_compute() -> Result<()> {
    let version = version(GOOD)?;
    let features = version.features.iter().map(|feature| format!("{}: {}", feature.name, feature.feature_type));
    assert_eq!(
        features.collect::<Vec<_>>(),
        [
            "arr_delay_mean_24h: float64",
            "dest_max_by_dep_delay_lifetime: string",
            "count_1h: int64",
            "worst: map<string, float32>"
        ]
    );
    let columns = version.source_columns().into_iter().map(|(name, ty)| format!("{name}: {ty}"));
    assert_eq!(columns.collect::<Vec<_>>(), ["arr_delay: float32", "dep_delay: int32", "dest: string"]);
    Ok(())
}

#[test]
fn w5_the_event_id_is_the_sources_or_its_batch_sources() -> Result<()> {
    let event_id = |text: &str| version(text).map(|version| version.event_id);
    assert_eq!(event_id(GOOD)?.as_deref(), Some("flight_id"));
    assert_eq!(event_id(&replaced("source: flights\n    agg", "source: live\n    agg"))?.as_deref(), Some("flight_id"));
    let pushed = replaced("source: flights\n    agg", "source: pushed_only\n    agg");
    assert_eq!(event_id(&pushed)?, None);
    let pushed = pushed.replace("name: pushed_only}", "name: pushed_only, event_id: id}");
    assert_eq!(event_id(&pushed)?.as_deref(), Some("id"));
    let error = version(&replaced("batch_source: flights}", "batch_source: flights, event_id: id}")).unwrap_err();
    assert!(error.message().contains("push source 'live' has an event_id, which its batch source 'flights' tells"));
    Ok(())
}

#[test]
fn a_schema_may_say_the_features_again_with_defaults() -> Result<()> {
    let schema = "schema:
      - {name: count_1h, type: int64, default: 0}
      - {name: carrier_id, type: int64}
      - {name: worst, type: 'map<string, float32>'}
      - {name: arr_delay_mean_24h, type: float64}
      - {name: dest_max_by_dep_delay_lifetime, type: string}
    inputs:";
    let text = replaced("inputs:", schema);
    assert_eq!(version(&text)?.features[2].default, Some(0.into()));
    assert_eq!(version(&text)?.features.len(), 4);
    let check = |from: &str, to: &str, expected: &str| {
        assert!(text.contains(from), "{from}");
        let error = version(&text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n does not contain\n{expected}");
    };
    check(
        "count_1h, type",
        "count_2h, type",
        "unknown field 'count_2h' in the schema of view 'delays': no aggregation computes it; did you mean 'count_1h'?",
    );
    check(
        "arr_delay_mean_24h, type: float64",
        "arr_delay_mean_24h, type: float32",
        "field 'arr_delay_mean_24h' in the schema of view 'delays' is float32, but its aggregation computes float64",
    );
    check(
        "      - {name: worst, type: 'map<string, float32>'}\n",
        "",
        "the schema of view 'delays' lacks 'worst', which its aggregations compute",
    );
    Ok(())
}

fn check_error(from: &str, to: &str, expected: &str) {
    let error = version(&replaced(from, to)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\n does not contain\n{expected}");
}

#[test]
fn what_does_not_fit_together_is_named() {
    check_error(
        ", timestamp_field: at",
        "",
        "source 'flights' of view 'delays' has rows without times, but aggregations take events; give the source a timestamp_field",
    );
    check_error(
        "timestamp_field: at",
        "valid_from: at",
        "has rows that are valid from 'at' on, but aggregations take events",
    );
    check_error(
        "entities: [carrier]\n",
        "ttl: 1d\n    entities: [carrier]\n",
        "view 'delays' has a ttl beside aggregations",
    );
    check_error(
        "name: worst",
        "name: count_1h",
        "view 'delays' has two aggregations 'count_1h'; give one of them another name",
    );
    check_error(
        "name: worst",
        "name: carrier_id",
        "aggregation 'carrier_id' of view 'delays' has the name of a join key",
    );
    check_error(
        "      - {name: dep_delay, type: int32}\n",
        "",
        "the type of column 'dep_delay' is not known; give it in the inputs of the view",
    );
    check_error(
        "{name: dest, type: string}",
        "{name: dest, type: string}\n      - {name: dst, type: string}",
        "unknown input 'dst' of view 'delays': no aggregation looks at it; did you mean 'dest'?",
    );
    check_error("dest, type: string", "dest, type: string, default: x", "input 'dest' of view 'delays' has a default");
    check_error(
        "dep_delay, type: int32",
        "dep_delay, type: string",
        "column 'dep_delay' of type string can't be compared with",
    );
    check_error("arr_delay, type: float32", "arr_delay, type: string", "'mean' of string can't be computed");
    check_error("function: max, group", "function: last_n(2), group", "can't be grouped");
    let plain = "source: flights\n    schema: [{name: x, type: int64}]\n    inputs:";
    let text =
        GOOD[..GOOD.find("source: flights\n").unwrap()].to_owned() + plain + &GOOD[GOOD.find("inputs:").unwrap() + 7..];
    let error = version(&text).unwrap_err().to_string();
    assert!(error.contains("view 'delays' has the input 'arr_delay' but no aggregations"), "{error}");
}

#[test]
fn n1_aggregations_inputs_and_event_ids_are_part_of_the_hash() -> Result<()> {
    let hash = |text: &str| version(text)?.hash();
    let before = hash(GOOD)?;
    for (from, to) in [
        ("time_window: 24h}", "time_window: 1d, slide_interval: 1h, name: arr_delay_mean_24h, description: words}"),
        ("function: mean", "function: avg, tags: {a: b}"),
        (
            "      - {name: arr_delay, type: float32}\n      - {name: dep_delay, type: int32}\n",
            "      - {name: dep_delay, type: int32}\n      - {name: arr_delay, type: float32, description: words}\n",
        ),
        ("entities: [carrier]\n", "owner: me\n    entities: [carrier]\n"),
    ] {
        assert_eq!(hash(&replaced(from, to))?, before, "{from} -> {to}");
    }
    for (from, to) in [
        ("time_window: 24h}", "time_window: 24h, slide_interval: 5m}"),
        ("time_window: 24h}", "time_window: 24h, offset: 1d, name: arr_delay_mean_24h}"),
        ("time_window: 24h}", "time_window: 25h, name: arr_delay_mean_24h}"),
        ("function: mean, time_window: 24h}", "function: sum, time_window: 24h, name: arr_delay_mean_24h}"),
        ("dep_delay > 15", "dep_delay > 16"),
        ("dep_delay > 15", "dep_delay >  15"),
        (", where: dep_delay > 15", ""),
        ("function: max, group_by: dest", "function: min, group_by: dest"),
        ("dep_delay, type: int32", "dep_delay, type: int64"),
        (", event_id: flight_id", ", event_id: id"),
        (", event_id: flight_id", ""),
    ] {
        assert_ne!(hash(&replaced(from, to))?, before, "{from} -> {to}");
    }
    Ok(())
}

#[test]
fn n1_hashes_of_views_without_aggregations_stay() -> Result<()> {
    let text = "
version: 1
data_sources:
  - {type: file, name: flights, path: flights.parquet, timestamp_field: at}
feature_views:
  - {name: delays, source: flights, schema: [{name: x, type: int64}]}
";
    // Computed before there were aggregations.
    let stored = "fe08e5a5319a9427635ed7587fa81276eff4b5fa6c7551b20ba09735db80f653";
    assert_eq!(version(text)?.hash()?, stored);
    // Their values do not depend on what identifies an event.
    assert_eq!(version(&text.replace("timestamp_field: at", "timestamp_field: at, event_id: id"))?.hash()?, stored);
    Ok(())
}

#[test]
fn inputs_are_inferred_from_the_source() -> Result<()> {
    let columns = [("arr_delay", DataType::Float32), ("dep_delay", DataType::Int16), ("dest", DataType::LargeUtf8)];
    let schema = |columns: &[(&str, DataType)]| {
        Schema::new(columns.iter().map(|(name, ty)| ArrowField::new(*name, ty.clone(), true)).collect::<Vec<_>>())
    };
    let declared = GOOD[..GOOD.find("    inputs:").unwrap()].to_owned() + "    inputs: [{name: dest, type: uuid}]\n";
    let mut view = definitions(&declared)?.feature_views["delays"].clone();
    assert_eq!(view.input_columns(), ["arr_delay", "dest", "dep_delay"]);
    assert_eq!(view.untyped_inputs(), ["arr_delay", "dep_delay"]);
    view.infer_inputs(&schema(&columns))?;
    let inputs: Vec<_> = view.inputs.iter().map(|input| format!("{}: {}", input.name, input.feature_type)).collect();
    assert_eq!(inputs, ["dest: uuid", "arr_delay: float32", "dep_delay: int32"]);
    view.inputs.clear();
    let error = view.infer_inputs(&schema(&[("arr_dely", DataType::Int8)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.message(),
        "unknown column 'arr_delay' in the aggregations of view 'delays'; did you mean 'arr_dely'?"
    );
    let error = view.infer_inputs(&schema(&[("arr_delay", DataType::UInt64)])).unwrap_err();
    assert!(error.message().contains("column 'arr_delay' in the aggregations of view 'delays' has type UInt64"));
    assert!(view.inputs.is_empty());
    Ok(())
}

#[test]
fn v2_a_tables_columns_are_checked_against_the_inputs() -> Result<()> {
    let good = [
        ("carrier_id", DataType::Int64),
        ("at", DataType::Date32),
        ("flight_id", DataType::Utf8),
        ("arr_delay", DataType::Float32),
        ("dep_delay", DataType::Int16),
        ("dest", DataType::Utf8),
    ];
    let check = |column: &str, ty: Option<DataType>| {
        let mut fields = good.to_vec();
        match ty {
            Some(ty) => fields.iter_mut().filter(|(name, _)| *name == column).for_each(|field| field.1 = ty.clone()),
            None => fields.retain(|(name, _)| *name != column),
        }
        let fields = fields.iter().map(|(name, ty)| ArrowField::new(*name, ty.clone(), true));
        version(GOOD)?.check_columns(&Schema::new(fields.collect::<Vec<_>>()))
    };
    check("arr_delay", Some(DataType::Int16))?;
    let error = |column, ty| check(column, ty).unwrap_err().to_string();
    assert!(
        error("arr_delay", Some(DataType::Int64))
            .contains("'arr_delay' has type Int64, which can't be widened to float32")
    );
    assert!(error("dest", None).contains("column 'dest' is missing"));
    assert!(error("flight_id", None).contains("column 'flight_id' is missing"));
    assert!(
        error("flight_id", Some(DataType::Float64)).contains("event id column 'flight_id' has type Float64; expected")
    );
    Ok(())
}
