//! Offline engines that are wrong in one point.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use futures::StreamExt;
use lodestore_core::Result;
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::offline::{
    BatchStream, HistoricalPlan, MemoryEngine, OfflineEngine, RunReport, ScanPlan, WriteTarget, Written,
};
use lodestore_core::time::Micros;
use lodestore_testkit::engine_suite::{self, EngineHarness};

use crate::{changed, failures, with_ttl, without_delay};

type PlanFault = fn(&mut HistoricalPlan);

#[derive(Clone, Copy)]
struct EngineFault {
    name: &'static str,
    plan: PlanFault,
    table: fn(RecordBatch) -> RecordBatch,
    answer: fn(RecordBatch) -> RecordBatch,
    scan: fn(&mut ScanPlan),
}

impl fmt::Debug for EngineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const SOUND_ENGINE: EngineFault =
    EngineFault { name: "sound", plan: |_| (), table: |table| table, answer: |answer| answer, scan: |_| () };

#[derive(Debug)]
struct FaultyEngine(EngineFault, MemoryEngine);

#[async_trait]
impl OfflineEngine for FaultyEngine {
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef> {
        self.1.schema(table).await
    }

    async fn historical(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        report: &Arc<RunReport>,
    ) -> Result<BatchStream> {
        let mut plan = plan.clone();
        (self.0.plan)(&mut plan);
        let stream = self.1.historical(&plan, questions, report).await?;
        let answer = self.0.answer;
        let batches = stream.batches.map(move |batch| batch.map(answer)).boxed();
        Ok(BatchStream { schema: stream.schema, batches })
    }

    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream> {
        let mut plan = plan.clone();
        (self.0.scan)(&mut plan);
        self.1.scan(&plan).await
    }

    async fn explain(&self, plan: &HistoricalPlan, questions: &[RecordBatch]) -> Result<String> {
        self.1.explain(plan, questions).await
    }

    async fn fingerprint(&self, table: &TableRef) -> Result<String> {
        self.1.fingerprint(table).await
    }

    async fn query(&self, sql: &str, tables: &[(String, TableRef)]) -> Result<BatchStream> {
        self.1.query(sql, tables).await
    }

    async fn write(&self, answer: BatchStream, target: &WriteTarget) -> Result<Written> {
        self.1.write(answer, target).await
    }

    fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        self.1.keep_frame(source, schema, rows);
    }
}

impl EngineHarness for EngineFault {
    fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> Result<Arc<dyn OfflineEngine>> {
        let engine = MemoryEngine::new();
        tables.iter().for_each(|(table, rows)| engine.put(&table.path, (self.table)(rows.clone())));
        Ok(Arc::new(FaultyEngine(*self, engine)))
    }
}

fn each_view(plan: &mut HistoricalPlan, change: impl Fn(&ViewVersion) -> Arc<ViewVersion>) {
    plan.request.views.iter_mut().for_each(|view| view.version = change(&view.version));
}

/// Compares features in the reverse order, and answers the right ones.
fn reversed_features(plan: &mut HistoricalPlan) {
    each_view(plan, |view| changed(view, |view| view.features.reverse()));
    for column in &mut plan.request.columns {
        column.feature = plan.request.views[column.view].version.features.len() - 1 - column.feature;
    }
}

/// Cuts nanoseconds off instead of rounding a row's time up.
fn truncated_times(table: RecordBatch) -> RecordBatch {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in table.schema().fields().iter().zip(table.columns()) {
        let column: ArrayRef = match column.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
                cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).unwrap()
            }
            _ => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap_or(table)
}

fn without_negative_zeros(answer: RecordBatch) -> RecordBatch {
    let positive = |column: &ArrayRef| -> ArrayRef {
        match column.as_primitive_opt::<Float64Type>() {
            Some(floats) => Arc::new(floats.unary::<_, Float64Type>(|x| if x == 0.0 { 0.0 } else { x })),
            None => Arc::clone(column),
        }
    };
    RecordBatch::try_new(answer.schema(), answer.columns().iter().map(positive).collect()).unwrap_or(answer)
}

#[allow(clippy::needless_pass_by_value, reason = "a fault takes the answer and gives another")]
fn backwards(answer: RecordBatch) -> RecordBatch {
    let order: UInt32Array = (0..answer.num_rows() as u32).rev().collect::<Vec<_>>().into();
    take_record_batch(&answer, &order).unwrap()
}

#[test]
fn the_engine_suite_finds_known_faults() {
    let plans: [(&str, PlanFault); 11] = [
        ("ttl too long", |plan| each_view(plan, |view| with_ttl(view, 1))),
        ("ttl too short", |plan| each_view(plan, |view| with_ttl(view, -1))),
        ("no ttl", |plan| each_view(plan, |view| changed(view, |view| view.definition.ttl = None))),
        ("no delay", |plan| each_view(plan, without_delay)),
        ("no end of validity", |plan| {
            each_view(plan, |view| changed(view, |view| view.table.as_mut().unwrap().times.valid_to = None));
        }),
        ("created time does not decide", |plan| {
            let ignore = |view: &mut ViewVersion| view.table.as_mut().unwrap().times.created_timestamp_column = None;
            each_view(plan, |view| changed(view, ignore));
        }),
        ("values compared in another order", reversed_features),
        ("always as known", |plan| plan.options.as_known = true),
        ("never as known", |plan| plan.options.as_known = false),
        ("always defaults", |plan| plan.options.use_defaults = true),
        ("never defaults", |plan| plan.options.use_defaults = false),
    ];
    let mut faults: Vec<EngineFault> =
        plans.iter().map(|&(name, plan)| EngineFault { name, plan, ..SOUND_ENGINE }).collect();
    faults.push(EngineFault { name: "times cut off", table: truncated_times, ..SOUND_ENGINE });
    faults.push(EngineFault { name: "no -0.0", answer: without_negative_zeros, ..SOUND_ENGINE });
    faults.push(EngineFault { name: "backwards", answer: backwards, ..SOUND_ENGINE });
    faults.push(EngineFault {
        name: "one answer less",
        answer: |a| a.slice(0, a.num_rows().max(1) - 1),
        ..SOUND_ENGINE
    });
    let inclusive = |plan: &mut ScanPlan| plan.after = plan.after.map(|after| after.minus(Micros::new(1).unwrap()));
    faults.push(EngineFault { name: "scans begin early", scan: inclusive, ..SOUND_ENGINE });
    faults.push(EngineFault { name: "late rows not scanned", scan: |plan| plan.created_since = None, ..SOUND_ENGINE });
    assert_eq!(failures("engine", engine_suite::trials(Arc::new(SOUND_ENGINE))), 0);
    for fault in faults {
        assert!(failures("engine", engine_suite::trials(Arc::new(fault))) > 0, "no test finds the fault '{fault:?}'");
    }
}
