//! One view of a retrieval: which way its questions are answered, and the way itself.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use lodestore_core::definition::ViewVersion;
use lodestore_core::offline::{RunReport, ViewReport};
use lodestore_core::time::{EventTime, Stopwatch};
use lodestore_core::types::{KeyType, Rounding, compare_rows, event_times};
use lodestore_core::{Error, ErrorKind, Result};

use super::answered::Answered;
use super::build;
use super::features::{Layout, StoredFeatures};
use super::fetch::{Density, Fetched, fetch, fetch_all};
use super::index::{Asked, QuestionIndex};
use super::pass::{self, Visibility};
use super::strategy::{Limits, Strategy};
use super::windows;
use super::winners::{Address, Answers, NO_ROW, TieColumns, Winners};
use crate::rows::RowReader;
use crate::source::{Bounds, Found, KeyBounds, KeyValues, ParquetTable, Table, TimeBounds};

/// A view whose table was opened, ready to be asked.
#[derive(Debug)]
pub(crate) struct ViewPlan {
    /// The version that is asked.
    pub(crate) version: Arc<ViewVersion>,
    /// Its table.
    pub(crate) table: Arc<dyn Table>,
    /// Which features are asked for, by their places in the view's order, ascending.
    pub(crate) features: Vec<usize>,
    /// How the questions are answered.
    pub(crate) strategy: Strategy,
    /// Why in this way.
    pub(crate) reason: String,
    /// How long it took to open the table.
    pub(crate) open_time: Duration,
}

/// A view that is being answered: what all of its work needs to know.
#[derive(Debug, Clone)]
pub(crate) struct ViewRun {
    pub(crate) visibility: Visibility,
    pub(crate) threads: usize,
    place: usize,
    report: Arc<RunReport>,
}

impl ViewRun {
    pub(crate) fn new(place: usize, visibility: Visibility, threads: usize, report: &Arc<RunReport>) -> Self {
        Self { visibility, threads, place, report: Arc::clone(report) }
    }

    /// Changes what is told of the view.
    pub(crate) fn report(&self, change: impl FnOnce(&mut ViewReport)) {
        self.report.update(self.place, change);
    }

    /// Indexes the questions in parts, one after the other, and tells how long each took.
    pub(crate) fn indexes(&self, asked: &Asked, parts: usize) -> impl Iterator<Item = Arc<QuestionIndex>> {
        self.report(|view| view.parts = parts as u64);
        let mut indexes = asked.indexes(parts, self.threads);
        std::iter::from_fn(move || {
            let clock = Stopwatch::start();
            let index = indexes.next()?;
            self.report(|view| view.index_time += clock.elapsed());
            Some(index)
        })
    }

    /// Tells of rows that were scanned and of those that matched.
    ///
    /// # Errors
    /// `Unavailable` if the run was asked to stop.
    pub(crate) fn scanned(&self, rows: usize, matched: usize) -> Result<()> {
        self.report(|view| {
            view.rows_scanned += rows as u64;
            view.rows_matched += matched as u64;
        });
        self.check_cancelled()
    }

    /// Returns an error if the run was asked to stop.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if self.report.is_cancelled() {
            return Err(Error::unavailable("the retrieval was interrupted"));
        }
        Ok(())
    }

    /// Tells what was found before a scan.
    pub(crate) fn found(&self, found: Found) {
        self.report(|view| {
            view.files_read += found.files_read;
            view.files_pruned += found.files_pruned;
            view.row_groups_read += found.row_groups_read;
            view.row_groups_pruned += found.row_groups_pruned;
            view.rows_expected += found.rows.unwrap_or(0);
            view.bytes_read += found.bytes;
        });
    }
}

impl ViewPlan {
    /// Answers the questions about the view, and lets go of them as soon as it can.
    pub(crate) async fn answer(&self, run: &ViewRun, asked: Arc<Asked>, limits: &Limits) -> Result<StoredFeatures> {
        run.report(|view| {
            view.view = self.version.reference().to_string();
            view.strategy = self.strategy.to_string();
            view.reason.clone_from(&self.reason);
            view.open_time = self.open_time;
        });
        match (self.strategy, self.table.as_parquet()) {
            (Strategy::Windows, _) => windows::answer(self, run, &asked, limits).await,
            (Strategy::FetchLate(density), Some(table)) => self.fetch_late(run, asked, limits, table, density).await,
            (Strategy::BuildRows, _) => build::answer(self, run, &asked, limits).await,
            _ => self.keep_rows(run, &asked, limits).await,
        }
    }

    /// Returns the reader of the features that are asked for.
    pub(crate) fn reader(&self) -> Arc<RowReader> {
        Arc::new(RowReader::new(Arc::clone(&self.version), self.features.clone()))
    }

    /// Returns the reader of all features, which decide ties (rule P3).
    pub(crate) fn reader_of_all(&self) -> Arc<RowReader> {
        Arc::new(RowReader::new(Arc::clone(&self.version), 0..self.version.features.len()))
    }

    /// Passes over keys and times alone, then fetches the features of the winners.
    async fn fetch_late(
        &self,
        run: &ViewRun,
        asked: Arc<Asked>,
        limits: &Limits,
        table: &Arc<ParquetTable>,
        density: Density,
    ) -> Result<StoredFeatures> {
        let whole = Arc::new(RowReader::new(Arc::clone(&self.version), Vec::new()));
        // Created times decide between rows of one key and event time. Few rows are such, and it is read for those alone.
        let lean = if run.visibility.as_known { None } else { whole.without_created().map(Arc::new) };
        let mut keys = lean.unwrap_or_else(|| Arc::clone(&whole));
        let mut addresses = vec![NO_ROW; asked.count];
        for index in run.indexes(&asked, limits.parts(asked.count, run.threads)) {
            let clock = Stopwatch::start();
            let mut winners = loop {
                let scan = table.plan(&keys.columns(), &bounds(&self.version, &index), run.threads).await?;
                run.found(scan.found);
                match pass::by_address(run, &index, &scan, &keys).await? {
                    Some(winners) => break winners,
                    None if !Arc::ptr_eq(&keys, &whole) => keys = Arc::clone(&whole),
                    None => {
                        run.report(|view| {
                            view.strategy = Strategy::KeepRows.to_string();
                            view.reason = "too many rows have the same key and times to fetch them late".into();
                        });
                        return self.keep_rows(run, &asked, limits).await;
                    }
                }
            };
            let created = if Arc::ptr_eq(&keys, &whole) { None } else { whole.created_column() };
            self.decide(run, table, &mut winners, created).await?;
            let Answers { addresses: found, .. } = winners.resolve(&index, run.visibility);
            for (place, address) in found.into_iter().enumerate() {
                addresses[index.question(place)] = address;
            }
            run.report(|view| view.scan_time += clock.elapsed());
        }
        drop(asked);
        let clock = Stopwatch::start();
        let stored = self.fetch_winners(run, limits, table, density, addresses).await;
        run.report(|view| view.fetch_time += clock.elapsed());
        stored
    }

    /// Decides between rows of the same key and times (rule P3): by their created times, if those are still to be
    /// read, and their features.
    async fn decide(
        &self,
        run: &ViewRun,
        table: &Arc<ParquetTable>,
        winners: &mut Winners,
        created: Option<&str>,
    ) -> Result<()> {
        let contests = winners.contests();
        if contests.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<Address> = contests.iter().flat_map(|contest| contest.rows.iter().copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (reader, wanted) = (self.reader_of_all(), Arc::new(wanted));
        let names: Vec<&str> = created.into_iter().chain(reader.feature_names()).collect();
        let types: Vec<DataType> = created.map(|_| DataType::Int64).into_iter().chain(reader.feature_types()).collect();
        let scan = table.plan(&names, &Bounds::default(), run.threads).await?;
        let comparable = {
            let (reader, created) = (Arc::clone(&reader), created.map(str::to_owned));
            move |columns: Vec<ArrayRef>| {
                let Some(created) = &created else { return reader.widened(&columns) };
                let mut comparable: Vec<ArrayRef> = vec![Arc::new(event_times(created, &columns[0], Rounding::Up)?)];
                comparable.extend(reader.widened(&columns[1..])?);
                Ok(comparable)
            }
        };
        let columns = match fetch_all(run, &scan, comparable, &types, &wanted).await {
            Err(error) => return Err(self.named(run, table, &wanted, &reader, error).await),
            Ok(columns) => columns,
        };
        let rank = |address: &Address| wanted.partition_point(|other| other < address);
        let compare = |a: &&Address, b: &&Address| compare_rows(&columns, rank(a), &columns, rank(b));
        for contest in &contests {
            if let Some(winner) = contest.rows.iter().max_by(compare) {
                winners.decide(contest, *winner);
            }
        }
        Ok(())
    }

    async fn fetch_winners(
        &self,
        run: &ViewRun,
        limits: &Limits,
        table: &Arc<ParquetTable>,
        density: Density,
        addresses: Vec<Address>,
    ) -> Result<StoredFeatures> {
        let questions = addresses.len();
        let answered = Arc::new(Answered::new(addresses));
        let wanted = Arc::clone(&answered.wanted);
        run.report(|view| view.rows_fetched = wanted.len() as u64);
        let reader = self.reader();
        let types = reader.feature_types();
        let scan = table.plan(&reader.feature_names(), &Bounds::default(), run.threads).await?;
        let layout = limits.layout(questions, wanted.len());
        let store = Arc::new(limits.store(questions, wanted.len(), &types, layout)?);
        let blocks = store.blocks(limits.columns_at_a_time(&scan), types.len());
        let scan = scan.in_blocks(&blocks);
        let add = {
            let store = Arc::clone(&store);
            let reader = |block: &Vec<usize>| {
                RowReader::new(Arc::clone(&self.version), block.iter().map(|&feature| self.features[feature]))
            };
            let blocks: Vec<_> = blocks.iter().map(|block| (block.clone(), reader(block))).collect();
            move |(): &mut (), fetched: Fetched| {
                let (features, reader) = &blocks[fetched.block];
                // A value that does not fit is an error in a row that answers, and in no other.
                let fetched = if reader.is_widened(&fetched.columns) { fetched } else { fetched.alone()? };
                store.add(features, reader.widened(&fetched.columns)?, &answered.by(&fetched))
            }
        };
        if let Err(error) = fetch(run, &scan, &wanted, density, || (), add).await {
            return Err(self.named(run, table, &wanted, &reader, error).await);
        }
        let store = Arc::into_inner(store).ok_or_else(|| Error::internal("a fetch goes on after its end"))?;
        let stored = store.finish()?;
        run.report(|view| view.bytes_spilled += stored.bytes_spilled());
        Ok(stored)
    }

    /// Names the row of a value that does not fit, in place of an error that can't.
    async fn named(
        &self,
        run: &ViewRun,
        table: &Arc<ParquetTable>,
        wanted: &Arc<Vec<Address>>,
        reader: &Arc<RowReader>,
        error: Error,
    ) -> Error {
        if error.kind() != ErrorKind::Invalid {
            return error;
        }
        let names: Vec<String> = reader.columns().into_iter().map(str::to_owned).collect();
        let schema = table.schema();
        let find = async {
            let scan = table.plan(&reader.columns(), &Bounds::default(), 1).await?;
            let each = |found: &mut Vec<_>, fetched: Fetched| {
                found.push(fetched.alone()?.columns);
                Ok(())
            };
            let rows = fetch(run, &scan, wanted, Density::Chosen, Vec::new, each).await?;
            let fields = names.iter().map(|name| Ok(schema.field_with_name(name)?.clone()));
            let fields = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Result<Vec<_>>>()?));
            for columns in rows.into_iter().flatten() {
                let found = reader.misfit(&RecordBatch::try_new(Arc::clone(&fields), columns)?)?;
                if found.is_some() {
                    return Ok::<_, Error>(found);
                }
            }
            Ok(None)
        };
        find.await.ok().flatten().unwrap_or(error)
    }

    /// Passes over whole rows, and keeps the features of those that win.
    async fn keep_rows(&self, run: &ViewRun, asked: &Asked, limits: &Limits) -> Result<StoredFeatures> {
        let reader = self.reader();
        let types = reader.feature_types();
        let parts = limits.parts_keeping(asked.count, run.threads, &types);
        let store = limits.store(asked.count, asked.count, &types, Layout::Pieces)?;
        for index in run.indexes(asked, parts) {
            let clock = Stopwatch::start();
            let Answers { mut addresses, mut kept, .. } = self.kept_winners(run, &index, &reader).await?;
            kept.compact(addresses.iter_mut(), NO_ROW, 0)?;
            let answers: Vec<(u32, u32)> = addresses
                .iter()
                .enumerate()
                .filter(|(_, address)| **address != NO_ROW)
                .map(|(place, address)| (index.question(place) as u32, *address as u32))
                .collect();
            if !answers.is_empty() {
                store.add_all(kept.into_columns(), &answers)?;
            }
            run.report(|view| view.scan_time += clock.elapsed());
        }
        let stored = store.finish()?;
        run.report(|view| view.bytes_spilled += stored.bytes_spilled());
        Ok(stored)
    }

    /// Returns the winners with the features that are asked for. Where these don't decide a tie that
    /// matters, the pass is made again with all of the view's.
    async fn kept_winners(
        &self,
        run: &ViewRun,
        index: &Arc<QuestionIndex>,
        reader: &Arc<RowReader>,
    ) -> Result<Answers> {
        let bounds = bounds(&self.version, index);
        let is_all = self.features.len() == self.version.features.len();
        let columns = if is_all { TieColumns::All } else { TieColumns::Some };
        let scan = self.table.scan(&reader.columns(), &bounds, run.threads).await?;
        run.found(scan.found);
        let winners = pass::keeping(run, index, scan, reader, columns).await?;
        let answers = winners.resolve(index, run.visibility);
        if !answers.undecided {
            return Ok(answers);
        }
        let all = self.reader_of_all();
        let scan = self.table.scan(&all.columns(), &bounds, run.threads).await?;
        let winners = pass::keeping(run, index, scan, &all, TieColumns::All).await?;
        let mut answers = winners.resolve(index, run.visibility);
        answers.kept.project(&self.features);
        Ok(answers)
    }
}

/// Returns what rules out rows that can answer none of the questions of an index.
pub(crate) fn bounds(view: &ViewVersion, index: &QuestionIndex) -> Bounds {
    let event = view.table.as_ref().and_then(|table| table.times.event_time_column());
    let times = event.zip(index.time_range()).map(|(column, (earliest, latest))| TimeBounds {
        column: column.to_owned(),
        earliest: view.ttl().map(|ttl| earliest.minus(ttl)),
        latest: Some(latest.minus(view.availability_delay())),
    });
    let comparable = |ty: KeyType, values: &KeyValues| match values {
        KeyValues::Integers { .. } => matches!(ty, KeyType::Int32 | KeyType::Int64),
        KeyValues::Texts { .. } => ty == KeyType::String,
    };
    let keys = view.keys.iter().zip(index.key_values()).filter_map(|(key, values)| {
        let values = values.filter(|values| comparable(key.key_type, values))?;
        Some(KeyBounds { column: key.name.as_str().to_owned(), values })
    });
    Bounds { times, keys: keys.collect() }
}

/// Returns the bounds of a scan of the rows whose event time is in `(after, until]`.
pub(crate) fn interval(view: &ViewVersion, after: Option<EventTime>, until: Option<EventTime>) -> Bounds {
    let event = view.table.as_ref().and_then(|table| table.times.event_time_column());
    let times = event.map(|column| TimeBounds { column: column.to_owned(), earliest: after, latest: until });
    Bounds { times, keys: Vec::new() }
}
