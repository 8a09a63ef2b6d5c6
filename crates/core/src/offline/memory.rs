//! An offline engine over tables in memory, for tests and notebooks. Simple rather than fast.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, interleave, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::{
    BatchStream, HistoricalPlan, OfflineEngine, RunReport, ScanColumns, ScanPlan, WriteTarget, Written, memory_windows,
};
use crate::definition::{TableRef, ViewVersion};
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::request::RequestedView;
use crate::rows::{RowStamp, TimeColumns, keys_of, stamps_of};
use crate::time::EventTime;
use crate::types::{Comparator, Rounding, comparator, event_times, widen};

/// Computes over tables that were put into it, by the path of their [`TableRef`].
#[derive(Debug, Default)]
pub struct MemoryEngine {
    tables: RwLock<BTreeMap<String, RecordBatch>>,
}

impl MemoryEngine {
    /// Returns an engine without tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a table, its columns called as in the files.
    pub fn put(&self, path: &str, table: RecordBatch) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), table);
    }

    fn table(&self, table: &TableRef) -> Result<RecordBatch> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let batch = tables
            .get(&table.path)
            .ok_or_else(|| Error::not_found(format!("no table '{}' is in memory", table.path)))?;
        let fields = batch.schema_ref().fields().iter().map(|field| {
            let name = table.field_mapping.get(field.name()).unwrap_or(field.name());
            Field::new(name, field.data_type().clone(), true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options)?)
    }
}

#[async_trait]
impl OfflineEngine for MemoryEngine {
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef> {
        Ok(self.table(table)?.schema())
    }

    async fn historical(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        _: &Arc<RunReport>,
    ) -> Result<BatchStream> {
        let schema = plan.schema();
        let questions = concat_batches(&plan.questions, &questions)?;
        let times = match &plan.time_column {
            Some(name) => Some(event_times(name, &questions[name.as_str()], Rounding::Down)?),
            None => None,
        };
        let mut columns = questions.columns().to_vec();
        let mut answers = Vec::with_capacity(plan.request.views.len());
        for view in &plan.request.views {
            let table = view.version.table.as_ref().ok_or_else(|| Error::internal("a planned view has a table"))?;
            let (table, times) = (self.table(table)?, times.as_ref());
            answers.push(if view.version.definition.is_aggregated() {
                memory_windows::answer(view, &table, &questions, times, plan)?
            } else {
                Candidates::new(&view.version, &table)?.answer(view, &questions, times, plan)?
            });
        }
        for column in &plan.request.columns {
            let (candidates, winners) = &answers[column.view];
            let feature = &plan.request.views[column.view].version.features[column.feature];
            let default = match &feature.default {
                Some(default) if plan.options.use_defaults => Some(feature.feature_type.array_from_json(default)?),
                _ => None,
            };
            columns.push(take_winners(&candidates[column.feature], winners, default.as_ref())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(questions.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?;
        Ok(BatchStream { schema, batches: stream::iter([Ok(batch)]).boxed() })
    }

    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream> {
        let view = &plan.view;
        let Some(table) = &view.table else {
            return Err(Error::invalid(format!("view '{}' has no history to scan", view.reference())));
        };
        let batch = self.table(table)?;
        let stamps = stamps_of(&TimeColumns::of(view), &batch)?;
        let kept = stamps.iter().enumerate().filter(|(_, stamp)| stamp.is_some_and(|stamp| plan.takes(stamp)));
        let kept: UInt32Array = kept.map(|(row, _)| row as u32).collect::<Vec<_>>().into();
        let wanted = plan.column_names().filter_map(|name| batch.schema_ref().index_of(name).ok()).collect::<Vec<_>>();
        let batch = take_record_batch(&batch, &kept)?.project(&wanted)?;
        Ok(BatchStream { schema: batch.schema(), batches: stream::iter([Ok(batch)]).boxed() })
    }

    async fn explain(&self, plan: &HistoricalPlan, _: &[RecordBatch]) -> Result<String> {
        Ok(format!("{plan}\n  Engine: in memory"))
    }

    async fn fingerprint(&self, table: &TableRef) -> Result<String> {
        Ok(format!("{} in memory, {} rows", table.path, self.table(table)?.num_rows()))
    }

    async fn query(&self, _: &str, _: &[(String, TableRef)]) -> Result<BatchStream> {
        Err(Error::unsupported("the engine in memory speaks no SQL"))
    }

    async fn write(&self, _: BatchStream, target: &WriteTarget) -> Result<Written> {
        Err(Error::unsupported(format!("the engine in memory writes no files; '{}' is one", target.path)))
    }

    fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        // Batches of one schema always go together.
        self.put(source, concat_batches(&schema, &rows).unwrap_or_else(|_| RecordBatch::new_empty(schema)));
    }
}

impl ScanPlan {
    /// Returns whether a row with this stamp is in the scan.
    #[must_use]
    pub fn takes(&self, stamp: RowStamp) -> bool {
        let late = self.created_since.is_some_and(|since| stamp.created >= since && stamp.created != EventTime::MIN);
        let is_new = self.after.is_none_or(|after| stamp.event > after) || late;
        // The rows of a timeless table are in every interval.
        stamp.event == EventTime::MIN || (is_new && self.until.is_none_or(|until| stamp.event <= until))
    }

    /// Returns the names of the columns to read, each once: keys, times, then if asked for what the view's values are
    /// made of, and what identifies an event.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        let keys = self.view.keys.iter().map(|key| key.name.as_str());
        let times = self.view.table.iter().flat_map(|table| table.times.columns());
        let (values, event_id) = match self.columns {
            ScanColumns::All => (self.view.source_columns(), self.view.event_id.as_deref()),
            ScanColumns::KeysAndTimes => (Vec::new(), None),
        };
        let mut seen = std::collections::HashSet::new();
        let names = keys.chain(times).chain(values.into_iter().map(|(name, _)| name)).chain(event_id);
        names.filter(move |name| seen.insert((*name).to_owned()))
    }
}

/// Takes, for each question, the value of its winner; where there is none, null or the default.
///
/// # Errors
/// `Invalid` if the answer is too large for one array.
pub fn take_winners(values: &ArrayRef, winners: &UInt32Array, default: Option<&ArrayRef>) -> Result<ArrayRef> {
    match default {
        None => Ok(arrow::compute::take(values, winners, None)?),
        Some(default) => {
            let picks: Vec<_> = winners.iter().map(|w| w.map_or((1, 0), |row| (0, row as usize))).collect();
            Ok(interleave(&[values.as_ref(), default.as_ref()], &picks)?)
        }
    }
}

/// The rows of one view, by key.
struct Candidates {
    stamps: Vec<Option<RowStamp>>,
    features: Vec<ArrayRef>,
    compare: Vec<Comparator>,
    by_key: HashMap<Vec<u8>, Vec<u32>>,
}

impl Candidates {
    fn new(view: &ViewVersion, table: &RecordBatch) -> Result<Self> {
        let in_view = |error: Error| error.with_context("view", view.reference());
        let features = view.features.iter().map(|feature| {
            let name = feature.name.as_str();
            let column = table
                .column_by_name(name)
                .ok_or_else(|| Error::invalid(format!("the source has no column '{name}'")))?;
            widen(name, column, &feature.feature_type, 0)
        });
        let features = features.collect::<Result<Vec<_>>>().map_err(in_view)?;
        let compare = features.iter().map(|column| comparator(column, column)).collect::<Result<_>>()?;
        let mut by_key: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
        for (row, key) in keys_of(view, table).map_err(in_view)?.iter().enumerate() {
            if let Some(key) = key {
                by_key.entry(key.to_vec()).or_default().push(row as u32);
            }
        }
        let stamps = stamps_of(&TimeColumns::of(view), table).map_err(in_view)?;
        Ok(Self { stamps, features, compare, by_key })
    }

    /// Returns the feature columns and, for each question, the row of its winner.
    fn answer(
        self,
        view: &RequestedView,
        questions: &RecordBatch,
        times: Option<&Int64Array>,
        plan: &HistoricalPlan,
    ) -> Result<(Vec<ArrayRef>, UInt32Array)> {
        let columns = view.version.keys.iter().zip(&view.key_columns);
        let columns: Vec<_> =
            columns.map(|(key, name)| (name.as_str(), &questions[name.as_str()], key.key_type)).collect();
        let keys = EntityKeys::encode(questions.num_rows(), &columns)?;
        let timeless = view.version.is_timeless();
        let winner = |question: usize| {
            let asked = match times.filter(|times| times.is_valid(question)) {
                Some(times) => EventTime::from_micros(times.value(question)),
                None if timeless && !plan.options.as_known => {
                    EventTime::MAX.minus(crate::time::Micros::from_seconds(1))
                }
                None => return None,
            };
            let rows = self.by_key.get(keys.get(question)?)?.iter().copied();
            rows.filter(|&row| self.is_candidate(row, asked, &view.version, plan)).max_by(|&a, &b| self.order(a, b))
        };
        let winners: UInt32Array = (0..questions.num_rows()).map(winner).collect();
        Ok((self.features, winners))
    }

    fn is_candidate(&self, row: u32, asked: EventTime, view: &ViewVersion, plan: &HistoricalPlan) -> bool {
        let Some(stamp) = self.stamps[row as usize] else { return false };
        stamp.event.plus(view.availability_delay()) <= asked
            && asked < stamp.valid_to
            && view.ttl().is_none_or(|ttl| stamp.event >= asked.minus(ttl))
            && (!plan.options.as_known || stamp.created <= asked)
    }

    fn order(&self, a: u32, b: u32) -> Ordering {
        let stamp = |row: u32| self.stamps[row as usize].map(RowStamp::order);
        let values = || self.compare.iter().map(|compare| compare(a as usize, b as usize)).find(|o| o.is_ne());
        stamp(a).cmp(&stamp(b)).then_with(|| values().unwrap_or(Ordering::Equal))
    }
}
