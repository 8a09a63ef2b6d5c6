//! Tables as DataFusion sees them, for SQL.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::Expr;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Bounds, Table};

/// A table that SQL can name. The columns that a query needs are read; its conditions are DataFusion's.
#[derive(Debug)]
pub(crate) struct SqlTable(pub(crate) Arc<dyn Table>);

#[async_trait]
impl TableProvider for SqlTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.0.schema().project(projection)?),
            None => self.0.schema(),
        };
        let whole = Whole { table: Arc::clone(&self.0), schema: Arc::clone(&schema) };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(whole)], None, [], false, None)?))
    }
}

/// All rows of some columns, in one stream.
struct Whole {
    table: Arc<dyn Table>,
    schema: SchemaRef,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.table).finish()
    }
}

impl PartitionStream for Whole {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (table, schema) = (Arc::clone(&self.table), Arc::clone(&self.schema));
        let external = |error| DataFusionError::External(Box::new(error));
        let rows = async move {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let scan = table.scan(&names, &Bounds::default(), 1).await.map_err(external)?;
            let target = Arc::clone(&schema);
            let rows = stream::iter(scan.streams).flatten().map(move |batch| {
                // Nullability may differ from what was announced: every announced column is nullable.
                batch.map_err(external)?.with_schema(Arc::clone(&target)).map_err(DataFusionError::from)
            });
            Ok::<_, DataFusionError>(rows)
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::once(rows).try_flatten().boxed()))
    }
}
