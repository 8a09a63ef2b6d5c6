//! Events on their way into a store: rules V2, M3 and W5.
#![allow(clippy::unwrap_used, reason = "a test may end like this")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use lodestore_core::ErrorKind;
use lodestore_core::definition::ViewVersion;
use lodestore_core::rows::{FeatureRows, Normalized, TimeColumns, normalize};
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::oracle::{Value, build};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

fn view(event_id: &str) -> Result<Arc<ViewVersion>, Failed> {
    let definitions = definitions(&format!(
        "entities: [{{name: e, join_keys: [{{name: k, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: s.parquet, timestamp_field: at{event_id}}}]
feature_views:
  - name: v
    entities: [e]
    source: s
    inputs: [{{name: x, type: float64}}, {{name: city, type: string}}]
    aggregations:
      - {{function: sum, column: x, time_window: 1h, where: city = 'a'}}"
    ))?;
    Ok(online_view(&definitions, "v", "p")?.version)
}

/// Returns a batch of two events; `columns` replace or add to the usual ones.
fn batch(columns: &[(&str, ArrayRef)]) -> Result<RecordBatch, Failed> {
    let times = ["2024-01-01", "2024-01-02"].map(|text| EventTime::parse(text).map(|at| at.as_micros()));
    let times = times.into_iter().map(|at| at.map(Value::Timestamp)).collect::<Result<Vec<_>, _>>()?;
    let usual: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(Int64Array::from(vec![1, 2]))),
        ("at", build(&FeatureType::Timestamp, &times)?),
        ("x", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        ("city", Arc::new(StringArray::from(vec![None, Some("a")]))),
    ];
    let kept = usual.into_iter().filter(|(name, _)| columns.iter().all(|(other, _)| other != name));
    let all: Vec<(&str, ArrayRef, bool)> =
        kept.chain(columns.iter().cloned()).map(|(name, array)| (name, array, true)).collect();
    Ok(RecordBatch::try_from_iter_with_nullable(all)?)
}

fn normalized(view: &ViewVersion, batch: &RecordBatch) -> lodestore_core::Result<Normalized> {
    normalize(view, &TimeColumns::of(view), batch)
}

fn ids(rows: &FeatureRows) -> Vec<Vec<u8>> {
    rows.event_ids().map(|ids| ids.iter().flatten().map(<[u8]>::to_vec).collect()).unwrap_or_default()
}

#[test]
fn events_have_the_inputs_in_their_order_and_need_all_of_them() -> Outcome {
    let view = view("")?;
    let rows = normalized(&view, &batch(&[])?)?.rows;
    check_eq!(rows.len(), 2, "events");
    let places: Vec<usize> = rows.features().iter().map(|(place, _)| *place).collect();
    check_eq!(places, [0, 1], "the places of the inputs");
    check!(rows.event_ids().is_none(), "the source has no ids");
    let whole = batch(&[])?;
    for (column, name) in [(2, "x"), (3, "city")] {
        let kept: Vec<usize> = (0..4).filter(|other| *other != column).collect();
        let error = normalized(&view, &whole.project(&kept)?).map(|_| ()).unwrap_err();
        check_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        check!(error.message().starts_with(&format!("input column '{name}' is missing")), "{error}");
    }
    Ok(())
}

#[test]
fn w5_ids_are_equal_by_value_and_null_ones_are_refused() -> Outcome {
    let view = view(", event_id: id")?;
    let wide = normalized(&view, &batch(&[("id", Arc::new(Int64Array::from(vec![7, 8])))])?)?;
    let narrow = normalized(&view, &batch(&[("id", Arc::new(Int32Array::from(vec![Some(7), None])))])?)?;
    check_eq!(ids(&wide.rows).len(), 2, "two ids");
    check_eq!(ids(&narrow.rows), ids(&wide.rows)[..1].to_vec(), "the same id");
    let refused: Vec<_> = narrow.refused.iter().map(|row| (row.row, row.reason.as_str())).collect();
    check_eq!(refused, [(1, "its event id 'id' is null")], "what was refused");
    let both = FeatureRows::concat(&[narrow.rows.clone(), wide.rows.clone()])?;
    check_eq!(ids(&both), [ids(&narrow.rows), ids(&wide.rows)].concat(), "ids stay with their rows");
    check_eq!(ids(&both.take(&vec![2, 0].into())?), [ids(&wide.rows)[1].clone(), ids(&wide.rows)[0].clone()], "taken");
    Ok(())
}

#[test]
fn w5_an_id_column_that_is_missing_or_nested_is_an_error_that_names_it() -> Outcome {
    let view = view(", event_id: id")?;
    let error = normalized(&view, &batch(&[])?).map(|_| ()).unwrap_err();
    check!(error.message().starts_with("event id column 'id' is missing"), "{error}");
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]); 2]));
    let error = normalized(&view, &batch(&[("id", lists)])?).map(|_| ()).unwrap_err();
    check!(error.message().starts_with("event id column 'id' has type"), "{error}");
    Ok(())
}
