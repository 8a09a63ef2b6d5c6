//! Files that DataFusion reads as streams: CSV, newline-delimited JSON, Arrow IPC.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::FileScanConfigBuilder;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use lodestore_core::Result;
use lodestore_core::definition::{TableFormat, TableRef, ViewVersion};
use object_store::ObjectMeta;

use super::files::{Files, partition_array, partition_field};
use super::parquet::Found;
use super::store::Stores;
use super::{Bounds, Scan, Table, as_in_views, projection};
use crate::error::from_datafusion;

/// How many rows of a text file are read to learn the types of columns that no view declares.
const TEXT_ROWS_FOR_TYPES: usize = 10_000;

/// A table of files that are read from their beginning to their end.
pub(crate) struct TextTable {
    files: Files,
    context: SessionContext,
    format: Arc<dyn FileFormat>,
    /// The columns of the files, then those of their partitions.
    schema: SchemaRef,
    reference: TableRef,
}

impl fmt::Debug for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextTable").field("path", &self.reference.path).finish_non_exhaustive()
    }
}

impl TextTable {
    /// Finds a table's files and learns its columns. Columns of text are read as the types that `view`
    /// declares, their times as text.
    pub(crate) async fn open(
        stores: &Stores,
        runtime: &Arc<RuntimeEnv>,
        reference: &TableRef,
        view: Option<&ViewVersion>,
    ) -> Result<Self> {
        let (format, ending): (Arc<dyn FileFormat>, _) = match reference.format {
            TableFormat::Csv => (
                Arc::new(CsvFormat::default().with_has_header(true).with_schema_infer_max_rec(TEXT_ROWS_FOR_TYPES)),
                ".csv",
            ),
            TableFormat::Json => {
                (Arc::new(JsonFormat::default().with_schema_infer_max_rec(TEXT_ROWS_FOR_TYPES)), ".json")
            }
            _ => (Arc::new(ArrowFormat), ".arrow"),
        };
        let files = Files::find(stores, reference, ending).await?;
        let config = SessionConfig::new();
        let context = SessionContext::new_with_config_rt(config, Arc::clone(runtime));
        runtime.register_object_store(&files.place.root, Arc::clone(&files.place.store));
        let in_files = schema_of(&context, &files, format.as_ref(), reference).await;
        let in_files = in_files.map_err(|e| from_datafusion(&format!("'{}'", reference.path), e))?;
        let declared = |file_column: &str| {
            let name = reference.field_mapping.get(file_column).map_or(file_column, String::as_str);
            view.and_then(|view| declared_type(view, reference, name))
        };
        let fields = in_files.fields().iter().map(|field| match declared(field.name()) {
            Some(ty) if !reference.format.is_typed() => Field::new(field.name(), ty, true),
            _ => Field::new(field.name(), field.data_type().clone(), true),
        });
        let partitions = files.partitions.iter().map(|name| partition_field(name, declared(name)));
        let schema = Arc::new(Schema::new(fields.chain(partitions).collect::<Vec<_>>()));
        Ok(Self { files, context, format, schema, reference: reference.clone() })
    }

    fn partition_fields(&self) -> &[FieldRef] {
        &self.schema.fields()[self.schema.fields().len() - self.files.partitions.len()..]
    }

    fn partitioned(&self, file: &ObjectMeta) -> Result<PartitionedFile> {
        let values = self.partition_fields().iter().zip(self.files.partition_values(file)).map(|(field, value)| {
            let array = partition_array(field, value.as_deref())?;
            ScalarValue::try_from_array(&array, 0)
                .map_err(|e| from_datafusion(&format!("'{}'", self.reference.path), e))
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(PartitionedFile::new_from_meta(file.clone()).with_partition_values(values))
    }

    async fn plan(&self, projection: Vec<usize>, streams: usize) -> Result<Arc<dyn ExecutionPlan>> {
        let what = format!("'{}'", self.reference.path);
        let in_files = self.schema.fields().len() - self.files.partitions.len();
        let file_schema = Arc::new(Schema::new(self.schema.fields()[..in_files].to_vec()));
        let schema =
            TableSchema::builder(file_schema).with_table_partition_cols(self.partition_fields().to_vec()).build();
        let source = self.format.file_source(schema);
        let url = ListingTableUrl::try_new(self.files.place.root.clone(), None).map(|url| url.object_store());
        let url = url.map_err(|e| from_datafusion(&what, e))?;
        let files = self.files.files.iter().filter(|file| file.size > 0).map(|file| self.partitioned(file));
        let files = files.collect::<Result<Vec<_>>>()?;
        let plan = async {
            let mut config = FileScanConfigBuilder::new(url, source).with_projection_indices(Some(projection))?;
            for file in files {
                config = config.with_file(file);
            }
            let state = self.context.state();
            let plan = self.format.create_physical_plan(&state, config.build()).await?;
            let split = plan.repartitioned(streams, state.config_options())?;
            Ok(split.unwrap_or(plan))
        };
        plan.await.map_err(|e| from_datafusion(&what, e))
    }
}

#[async_trait]
impl Table for TextTable {
    fn schema(&self) -> SchemaRef {
        as_in_views(&self.schema, &self.reference)
    }

    async fn scan(&self, columns: &[&str], _: &Bounds, streams: usize) -> Result<Scan> {
        let what = format!("'{}'", self.reference.path);
        let plan = self.plan(projection(&self.reference, &self.schema, columns)?, streams).await?;
        let open = |partition| {
            let what = what.clone();
            let rows = plan.execute(partition, self.context.task_ctx()).map_err(|e| from_datafusion(&what, e))?;
            Ok(rows.map_err(move |e| from_datafusion(&what, e)).boxed())
        };
        let partitions = plan.output_partitioning().partition_count();
        let found = Found {
            files_read: self.files.files.len() as u64,
            bytes: self.files.files.iter().map(|file| file.size).sum(),
            ..Found::default()
        };
        Ok(Scan { streams: (0..partitions).map(open).collect::<Result<_>>()?, found })
    }

    fn has_declared_types(&self) -> bool {
        true
    }

    async fn fingerprint(&self) -> Result<String> {
        Ok(self.files.fingerprint())
    }
}

/// Returns the type that a view declares for a column, by its name in the views: text for its times.
pub(crate) fn declared_type(view: &ViewVersion, table: &TableRef, name: &str) -> Option<DataType> {
    let key = view.keys.iter().find(|key| key.name.as_str() == name).map(|key| key.key_type.feature_type());
    let feature = || view.features.iter().find(|f| f.name.as_str() == name).map(|f| f.feature_type.clone());
    match key.or_else(feature) {
        Some(ty) => Some(ty.to_arrow()),
        None => table.times.columns().any(|time| time == name).then_some(DataType::Utf8),
    }
}

async fn schema_of(
    context: &SessionContext,
    found: &Files,
    format: &dyn FileFormat,
    reference: &TableRef,
) -> Result<SchemaRef, DataFusionError> {
    let (state, store) = (context.state(), &found.place.store);
    let filled: Vec<ObjectMeta> = found.files.iter().filter(|file| file.size > 0).cloned().collect();
    if reference.format != TableFormat::Csv || filled.len() < 2 {
        return format.infer_schema(&state, store, &filled).await;
    }
    // CSV columns are found by their place, so every file must have the same ones in the same order.
    let mut first: Option<SchemaRef> = None;
    for file in &filled {
        let schema = format.infer_schema(&state, store, std::slice::from_ref(file)).await?;
        let names = |schema: &SchemaRef| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        match &first {
            Some(first) if names(first) != names(&schema) => {
                return Err(DataFusionError::Plan(format!(
                    "/{} has the columns {:?}, but /{} has {:?}; all CSV files of a source need the same columns in the same order",
                    file.location,
                    names(&schema),
                    filled[0].location,
                    names(first)
                )));
            }
            Some(_) => {}
            None => first = Some(schema),
        }
    }
    first.ok_or_else(|| DataFusionError::Plan("no file has any column".into()))
}
