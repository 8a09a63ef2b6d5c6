//! Scans for materialisation, and the questions of a retrieval without an entity frame.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use libtest_mimic::Failed;
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::offline::{OfflineEngine, ScanColumns, ScanPlan};
use lodestore_core::time::EventTime;

use super::EngineHarness;
use crate::fixture::{collect, parse_table, snapshot};
use crate::generate::{Focus, GeneratedRetrieval, Rng, for_each_seed};
use crate::oracle::{self, TableRow, interval_questions, table_rows};
use crate::{Outcome, check, check_eq};

/// Reads what a scan answers as rows, each as debug text so that they can be sorted.
async fn scanned(engine: &dyn OfflineEngine, plan: &ScanPlan) -> Result<Vec<TableRow>, Failed> {
    let batch = collect(engine.scan(plan).await?).await?;
    // The answer is a table whose columns are called as in the view.
    let mut view = ViewVersion::clone(&plan.view);
    let mut table = view.table.take().ok_or("the view has no table")?;
    table.field_mapping.clear();
    if plan.columns == ScanColumns::KeysAndTimes {
        view.features.clear();
    }
    view.table = Some(table.clone());
    table_rows(&view, &[(table, batch)])
}

fn sorted(rows: &[TableRow]) -> Vec<String> {
    let mut shown: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    shown.sort();
    shown
}

fn random_plan(rng: &mut Rng, view: &Arc<ViewVersion>, rows: &[TableRow]) -> ScanPlan {
    let times: Vec<i128> = rows.iter().flat_map(|row| [row.event, row.created]).flatten().collect();
    let mut time = |percent: usize| {
        let known = if times.is_empty() { 0 } else { *rng.pick(&times) };
        let time = i64::try_from(known).unwrap_or(0).saturating_add(rng.between(-1, 1));
        rng.chance(percent).then_some(EventTime::from_micros(time))
    };
    let (after, until, created_since) = (time(70), time(70), time(40));
    let columns = if rng.chance(30) { ScanColumns::KeysAndTimes } else { ScanColumns::All };
    ScanPlan { view: Arc::clone(view), after, until, created_since, columns }
}

pub(super) async fn scan_property(harness: &dyn EngineHarness) -> Outcome {
    for_each_seed("scan_property", async |seed| {
        let retrieval = GeneratedRetrieval::from_seed(Focus::Types, seed)?.retrieval;
        let engine = harness.engine(&retrieval.tables)?;
        let mut rng = Rng::new(seed);
        for view in &retrieval.request.views {
            let plan = random_plan(&mut rng, &view.version, &table_rows(&view.version, &retrieval.tables)?);
            let found = scanned(engine.as_ref(), &plan).await?;
            let mut expected = oracle::scan(&plan, &retrieval.tables)?;
            if plan.columns == ScanColumns::KeysAndTimes {
                expected.iter_mut().for_each(|row| row.values.clear());
            }
            check_eq!(sorted(&found), sorted(&expected), "the scan {plan:?} takes other rows");
        }
        Ok(())
    })
    .await
}

type Table = (TableRef, RecordBatch);

const ROWS: &str = "
    user_id:int64  at:timestamp          created:timestamp     amount:float64  note:string
    1              2024-01-01T00:00:00Z  2024-01-01T00:00:00Z  1               a
    1              2024-01-02T00:00:00Z  2024-01-05T00:00:00Z  2               b
    2              2024-01-02T00:00:00Z  null                  3               c
    2              2024-01-03T00:00:00Z  2024-01-03T00:00:00Z  4               d
    null           2024-01-03T00:00:00Z  2024-01-03T00:00:00Z  5               e
    3              null                  2024-01-03T00:00:00Z  6               f";

fn example() -> Result<(Arc<ViewVersion>, Vec<Table>), Failed> {
    let definitions = crate::fixture::definitions(
        "entities: [{name: user, join_keys: [{name: user_id, type: int64}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at, created_timestamp_column: created}]
feature_views: [{name: v, entities: [user], source: s, schema: [{name: amount, type: float64}]}]",
    )?;
    let snapshot = snapshot(&definitions)?;
    let view = Arc::clone(snapshot.view(&"v".parse()?)?);
    let table = view.table.clone().ok_or("the view has a table")?;
    Ok((view, vec![(table, parse_table(ROWS)?)]))
}

fn day(day: u32) -> Result<Option<EventTime>, Failed> {
    Ok(Some(EventTime::parse(&format!("2024-01-{day:02}"))?))
}

fn amounts(batch: &RecordBatch) -> Result<Vec<String>, Failed> {
    let column: &ArrayRef = batch.column_by_name("amount").ok_or("the scan has the column 'amount'")?;
    let mut shown: Vec<String> = arrow::util::display::ArrayFormatter::try_new(column, &Default::default())
        .map(|formatter| (0..column.len()).map(|row| formatter.value(row).to_string()).collect())?;
    shown.sort();
    Ok(shown)
}

pub(super) async fn a_scan_takes_the_rows_of_its_interval(harness: &dyn EngineHarness) -> Outcome {
    let (view, tables) = example()?;
    let engine = harness.engine(&tables)?;
    let plan = ScanPlan { view, after: None, until: None, created_since: None, columns: ScanColumns::All };
    let all = collect(engine.scan(&plan).await?).await?;
    // A row without an event time is in no interval; one with a null key is for the caller to refuse.
    check_eq!(amounts(&all)?, ["1.0", "2.0", "3.0", "4.0", "5.0"], "an open interval");
    let mut names: Vec<String> = all.schema().fields().iter().map(|field| field.name().clone()).collect();
    names.sort();
    check_eq!(names, ["amount", "at", "created", "user_id"], "keys, times and features, and nothing else");
    let plan = ScanPlan { after: day(1)?, until: day(2)?, ..plan };
    let some = collect(engine.scan(&plan).await?).await?;
    check_eq!(amounts(&some)?, ["2.0", "3.0"], "(start, end] is open at its start and closed at its end");
    let plan = ScanPlan { after: day(9)?, until: None, ..plan };
    let none = collect(engine.scan(&plan).await?).await?;
    check_eq!(none.num_rows(), 0, "nothing is after the last row");
    let plan = ScanPlan { after: None, columns: ScanColumns::KeysAndTimes, ..plan };
    let keys = collect(engine.scan(&plan).await?).await?;
    check!(keys.column_by_name("amount").is_none(), "a scan of keys and times reads no features");
    Ok(())
}

pub(super) async fn m1_rows_created_since_are_taken_however_old(harness: &dyn EngineHarness) -> Outcome {
    let (view, tables) = example()?;
    let engine = harness.engine(&tables)?;
    let plan = ScanPlan { view, after: day(3)?, until: day(9)?, created_since: day(5)?, columns: ScanColumns::All };
    let late = collect(engine.scan(&plan).await?).await?;
    check_eq!(amounts(&late)?, ["2.0"], "created at the watermark or later, though its event time is before it");
    let plan = ScanPlan { until: day(1)?, ..plan };
    let none = collect(engine.scan(&plan).await?).await?;
    check_eq!(none.num_rows(), 0, "the end holds for late rows too");
    Ok(())
}

pub(super) async fn p9_the_questions_of_an_interval_are_its_keys_and_times(harness: &dyn EngineHarness) -> Outcome {
    let (view, tables) = example()?;
    let plan =
        ScanPlan { view, after: day(1)?, until: day(3)?, created_since: None, columns: ScanColumns::KeysAndTimes };
    let found = scanned(harness.engine(&tables)?.as_ref(), &plan).await?;
    let expected = interval_questions(&oracle::scan(&plan, &tables)?);
    check_eq!(interval_questions(&found), expected, "the keys and times of the interval");
    check_eq!(expected.len(), 3, "each key and time once, none with a null key");
    Ok(())
}
