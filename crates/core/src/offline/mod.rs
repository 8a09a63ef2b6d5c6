//! The seam to offline engines and the plan of a historical retrieval.

mod memory;
mod memory_windows;
mod plan;
mod report;
mod target;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::definition::{TableRef, ViewVersion};
use crate::error::Result;
use crate::time::EventTime;

pub use memory::{MemoryEngine, take_winners};
pub use plan::{HistoricalOptions, HistoricalPlan, time_column};
pub use report::{RunReport, ViewReport};
pub use target::{WriteFormat, WriteMode, WriteTarget, Written};

/// Record batches of one schema, as they are computed.
pub struct BatchStream {
    /// The schema of every batch.
    pub schema: SchemaRef,
    /// The batches, in order.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

impl BatchStream {
    /// Waits for the first batch, so that what goes wrong before it is an error here.
    ///
    /// # Errors
    /// What the stream begins with, if that is an error.
    pub async fn started(self) -> Result<Self> {
        let Self { schema, mut batches } = self;
        match batches.next().await {
            None => Ok(Self { schema, batches }),
            Some(first) => {
                let first = first?;
                Ok(Self { schema, batches: stream::iter([Ok(first)]).chain(batches).boxed() })
            }
        }
    }
}

impl fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Which columns of a view's table a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanColumns {
    /// Keys and times.
    KeysAndTimes,
    /// Keys, times and features.
    All,
}

/// A scan of the rows of a view's table. Rows without an event time, in a table that has times, are
/// in no interval.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPlan {
    /// The view version whose table is read.
    pub view: Arc<ViewVersion>,
    /// Only rows with a later event time.
    pub after: Option<EventTime>,
    /// Only rows with this event time or an earlier one.
    pub until: Option<EventTime>,
    /// Rows created at this time or later are taken even if their event time is not after `after`.
    pub created_since: Option<EventTime>,
    /// What is read.
    pub columns: ScanColumns,
}

/// Computes over the tables of views: training sets, and scans for materialisation.
///
/// An engine reads tables and joins. It knows nothing of registries, online stores or access control.
#[async_trait]
pub trait OfflineEngine: fmt::Debug + Send + Sync + 'static {
    /// Returns the columns of a table, called as in the views.
    ///
    /// # Errors
    /// `NotFound` if there is no file, `Corrupt` or `Invalid` if it can't be read.
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef>;

    /// Answers the questions of a plan, by rules P1 to P9, and tells `report` how it goes. The work is done
    /// as the stream is read, and ends when the stream is dropped.
    ///
    /// # Behavior
    /// - one_row_for_each_question_in_the_order_asked
    /// - the_answer_does_not_depend_on_the_order_of_rows
    async fn historical(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        report: &Arc<RunReport>,
    ) -> Result<BatchStream>;

    /// Reads the rows of a view's table, columns called as in the view and of the types they have there:
    /// keys, times, features.
    ///
    /// # Behavior
    /// - a_scan_takes_the_rows_of_its_interval
    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream>;

    /// Describes how a plan would be run for these questions.
    async fn explain(&self, plan: &HistoricalPlan, questions: &[RecordBatch]) -> Result<String>;

    /// Returns a line that changes when a table's files do: for each its path, size and time of change.
    async fn fingerprint(&self, table: &TableRef) -> Result<String>;

    /// Runs an SQL query over tables, each known by the name that it comes with, its columns called as
    /// in the views.
    ///
    /// # Errors
    /// `Invalid` for what is no query of these tables, `Unsupported` if the engine speaks no SQL.
    async fn query(&self, sql: &str, tables: &[(String, TableRef)]) -> Result<BatchStream>;

    /// Writes the rows of an answer, as they come: all of them or, if it fails or is dropped, none. A relative
    /// path starts where those of tables do.
    ///
    /// # Errors
    /// What the answer says; `AlreadyExists` for a folder that has files in it, `Unsupported` for what the
    /// engine can't write.
    async fn write(&self, answer: BatchStream, target: &WriteTarget) -> Result<Written>;

    /// Keeps a frame in memory as the table of the memory source of this name.
    fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>);
}
