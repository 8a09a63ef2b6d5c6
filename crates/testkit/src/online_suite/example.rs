//! A small view, and rows of it, for tests made by hand. Times are microseconds.

use std::sync::Arc;

use libtest_mimic::Failed;
use lodestore_core::online::{FeatureStatus, OnlineStore, OnlineView};
use lodestore_core::rows::RowStamp;
use lodestore_core::time::EventTime;

use crate::fixture::{definitions, online_view};
use crate::generate::{online_keys, online_rows};
use crate::oracle::{OnlineAnswer, OnlineRow, Value, read};
use crate::{Outcome, check_eq};

pub(super) const PRESENT: FeatureStatus = FeatureStatus::Present;
pub(super) const NULL: FeatureStatus = FeatureStatus::NullValue;
pub(super) const NOT_FOUND: FeatureStatus = FeatureStatus::NotFound;
pub(super) const EXPIRED: FeatureStatus = FeatureStatus::OutsideMaxAge;

/// The usual view's source and view: a row every 100 microseconds stays valid.
pub(super) const USUAL: &str = "timestamp_field: at";

/// Returns a view of `a: int64` and `b: string`, keyed by an int64, with a TTL of 100 us.
pub(super) fn view(project: &str, times: &str) -> Result<OnlineView, Failed> {
    view_of(project, times, "ttl: 100us,", "{name: a, type: int64}, {name: b, type: string}")
}

/// Returns a view with these features.
pub(super) fn view_of(project: &str, times: &str, ttl: &str, features: &str) -> Result<OnlineView, Failed> {
    let comma = if times.is_empty() { "" } else { ", " };
    let definitions = definitions(&format!(
        "entities: [{{name: user, join_keys: [{{name: user_id, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: s.parquet{comma}{times}}}]
feature_views: [{{name: v, entities: [user], source: s, {ttl} schema: [{features}]}}]"
    ))?;
    online_view(&definitions, "v", project)
}

pub(super) fn us(micros: i64) -> EventTime {
    EventTime::from_micros(micros)
}

/// Returns a full row of a key: `a`, then `b` as the text of the same number.
pub(super) fn row(key: usize, event: i64, a: i64) -> OnlineRow {
    let values = vec![Some(Value::Int64(a)), Some(Value::text(a.to_string()))];
    OnlineRow { key, stamp: RowStamp::at(us(event)), values }
}

/// Returns a partial row with a value of one feature.
pub(super) fn part(key: usize, event: i64, feature: usize, value: Value) -> OnlineRow {
    let mut values = vec![None, None];
    values[feature] = Some(value);
    OnlineRow { key, stamp: RowStamp::at(us(event)), values }
}

/// Writes rows of one shape; returns how many were written and skipped.
pub(super) async fn write(
    store: &Arc<dyn OnlineStore>,
    view: &OnlineView,
    rows: &[OnlineRow],
    now: i64,
) -> Result<(u64, u64), Failed> {
    let report = store.write(view, &online_rows(view, rows)?, us(now), None).await?;
    Ok((report.written, report.skipped))
}

/// Reads features of keys: item `[i][j]` is feature j of key i.
pub(super) async fn answers(
    store: &Arc<dyn OnlineStore>,
    view: &OnlineView,
    keys: &[Option<usize>],
    features: &[usize],
    as_of: EventTime,
) -> Result<Vec<Vec<OnlineAnswer>>, Failed> {
    let columns = store.read(view, &online_keys(view, keys)?, features, as_of).await?;
    check_eq!(columns.len(), features.len(), "a column for each feature asked for");
    let mut rows = vec![Vec::new(); keys.len()];
    for (column, feature) in columns.iter().zip(features) {
        let ty = &view.version.features[*feature].feature_type;
        check_eq!(column.values.data_type(), &ty.to_arrow(), "the type of feature {feature}");
        let lengths = (column.values.len(), column.statuses.len(), column.event_times.len());
        check_eq!(lengths, (keys.len(), keys.len(), keys.len()), "values, statuses and times for each key");
        for (i, value) in read(&column.values, ty)?.into_iter().enumerate() {
            rows[i].push(OnlineAnswer { value, status: column.statuses[i], event_time: column.event_times[i] });
        }
    }
    Ok(rows)
}

/// Checks feature `a` of one key: its value (0 for null), status and event time (0 for none).
pub(super) async fn check_a(
    store: &Arc<dyn OnlineStore>,
    view: &OnlineView,
    key: usize,
    as_of: i64,
    expected: (i64, FeatureStatus, i64),
) -> Outcome {
    let found = answers(store, view, &[Some(key)], &[0], us(as_of)).await?.remove(0).remove(0);
    let (value, status, event) = expected;
    let expected = OnlineAnswer {
        value: if value == 0 { Value::Null } else { Value::Int64(value) },
        status,
        event_time: (event != 0).then_some(us(event)),
    };
    check_eq!(found, expected, "key {key} read at {as_of}");
    Ok(())
}
