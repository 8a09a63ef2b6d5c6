//! Tables of files as DataFusion scans: which files, which columns, which types, what can be pruned.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::file_format::FileFormat as DataFusionFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{Expr, SessionContext};
use futures::TryStreamExt;
use lodestore_core::definition::{FileFormat, TableRef, ViewVersion};
use lodestore_core::{Error, Result};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::errors::ParquetError;

use crate::error::from_datafusion;

/// How many rows of a text file are read to learn the types of columns that no view declares.
const TEXT_ROWS_FOR_TYPES: usize = 10_000;

/// A table that was found, with the types that its columns are read as.
#[derive(Debug)]
pub(crate) struct Table {
    listing: ListingTable,
    reference: TableRef,
}

/// The files of a table.
struct Files {
    url: ListingTableUrl,
    store: Arc<dyn ObjectStore>,
    files: Vec<ObjectMeta>,
    partitions: Vec<String>,
    options: ListingOptions,
}

impl Table {
    /// Finds a table's files and learns its columns. Text formats are read as the types that `view`
    /// declares, their times as text; Parquet as it is.
    pub(crate) async fn open(
        context: &SessionContext,
        base: &Path,
        reference: &TableRef,
        view: Option<&ViewVersion>,
    ) -> Result<Self> {
        let what = format!("'{}'", reference.path);
        let state = context.state();
        let found = find_files(&state, base, reference).await?;
        let in_files = file_schema(&state, &found, reference).await.map_err(|e| from_datafusion(&what, e))?;
        let declared = |file_column: &str| {
            let name = reference.field_mapping.get(file_column).map_or(file_column, String::as_str);
            view.and_then(|view| declared_type(view, reference, name))
        };
        let fields = in_files.fields().iter().map(|field| match declared(field.name()) {
            Some(ty) if reference.format != FileFormat::Parquet => Field::new(field.name(), ty, true),
            _ => Field::new(field.name(), field.data_type().clone(), true),
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        // A partition's value is text in a path: it is parsed as the type that the view declares.
        let partitions = found.partitions.iter().map(|name| {
            let ty = declared(name).filter(|ty| !matches!(ty, DataType::List(_) | DataType::Struct(_)));
            (name.clone(), ty.unwrap_or(DataType::Utf8))
        });
        let options = found.options.with_table_partition_cols(partitions.collect());
        let config = ListingTableConfig::new(found.url).with_listing_options(options).with_schema(schema);
        let listing = ListingTable::try_new(config).map_err(|e| from_datafusion(&what, e))?;
        Ok(Self { listing, reference: reference.clone() })
    }

    /// Returns the columns, called as in the views.
    pub(crate) fn schema(&self) -> SchemaRef {
        let fields = self.listing.schema();
        let fields = fields.fields().iter().map(|field| {
            let name = self.reference.field_mapping.get(field.name()).unwrap_or(field.name());
            Field::new(name, field.data_type().clone(), true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Returns a scan of columns, by their names in the views and in that order, in about `threads`
    /// partitions. `prune` may leave out files, row groups and pages that it rules out, not rows.
    pub(crate) async fn scan(
        &self,
        context: &SessionContext,
        columns: &[&str],
        prune: &[Expr],
        threads: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let what = format!("'{}'", self.reference.path);
        let schema = self.listing.schema();
        let index = |name: &&str| {
            schema.index_of(self.reference.file_column(name)).map_err(|_| {
                let known: Vec<_> = self.schema().fields().iter().map(|f| format!("'{}'", f.name())).collect();
                Error::invalid(format!("{what} has no column '{name}'; columns: {}", known.join(", ")))
            })
        };
        let projection = columns.iter().map(index).collect::<Result<Vec<_>>>()?;
        let state = context.state();
        let scan = async {
            let plan = self.listing.scan(&state, Some(&projection), prune, None).await?;
            let split = plan.repartitioned(threads, state.config_options())?;
            Ok(split.unwrap_or(plan))
        };
        scan.await.map_err(|e| from_datafusion(&what, e))
    }

    /// Returns the type that a column of the views has in the files.
    pub(crate) fn column_type(&self, name: &str) -> Option<DataType> {
        let schema = self.listing.schema();
        schema.field_with_name(self.reference.file_column(name)).ok().map(|field| field.data_type().clone())
    }
}

/// Returns a line for each file of a table: its path, size and time of change.
pub(crate) async fn fingerprint(context: &SessionContext, base: &Path, reference: &TableRef) -> Result<String> {
    let found = find_files(&context.state(), base, reference).await?;
    let line = |file: &ObjectMeta| {
        format!("/{} {} bytes, changed {}", file.location, file.size, file.last_modified.to_rfc3339())
    };
    Ok(found.files.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn declared_type(view: &ViewVersion, table: &TableRef, name: &str) -> Option<DataType> {
    let key = view.keys.iter().find(|key| key.name.as_str() == name).map(|key| key.key_type.feature_type());
    let feature = || view.features.iter().find(|f| f.name.as_str() == name).map(|f| f.feature_type.clone());
    match key.or_else(feature) {
        Some(ty) => Some(ty.to_arrow()),
        None => table.times.columns().any(|time| time == name).then_some(DataType::Utf8),
    }
}

async fn find_files(state: &dyn Session, base: &Path, reference: &TableRef) -> Result<Files> {
    let what = format!("'{}'", reference.path);
    let path = local_path(base, &reference.path)?;
    let is_glob = reference.path.contains(['*', '?', '[']) && !path.exists();
    if !is_glob && let Err(error) = std::fs::metadata(&path) {
        return Err(Error::io(format!("reading {what}"), error));
    }
    let text = path.to_string_lossy();
    let url = if is_glob {
        ListingTableUrl::parse(&*text)
    } else {
        // A path that exists is taken as it is, even where it looks like a glob.
        file_url(&path).and_then(|url| ListingTableUrl::try_new(url, None))
    };
    let url = url.map_err(|e| from_datafusion(&what, e))?;
    let mut options = ListingOptions::new(format_of(reference.format));
    if !path.is_dir() {
        options = options.with_file_extension("");
    }
    let listed = async {
        let store = state.runtime_env().object_store(&url)?;
        let files = url.list_all_files(state, store.as_ref(), &options.file_extension).await?;
        let mut files: Vec<ObjectMeta> = files.try_collect().await?;
        files.sort_by(|a, b| a.location.cmp(&b.location));
        let partitions = if url.is_folder() { options.infer_partitions(state, &url).await? } else { Vec::new() };
        Ok((store, files, partitions))
    };
    let (store, files, partitions) = listed.await.map_err(|e| from_datafusion(&what, e))?;
    if files.is_empty() {
        let ending = if options.file_extension.is_empty() { "" } else { &options.file_extension };
        return Err(Error::not_found(format!("no {ending} file is at {what} ({text})")));
    }
    Ok(Files { url, store, files, partitions, options })
}

fn file_url(path: &Path) -> Result<url::Url, DataFusionError> {
    let url = if path.is_dir() { url::Url::from_directory_path(path) } else { url::Url::from_file_path(path) };
    url.map_err(|()| DataFusionError::Plan(format!("{} is no absolute path", path.display())))
}

fn local_path(base: &Path, path: &str) -> Result<std::path::PathBuf> {
    let local = path.strip_prefix("file://").unwrap_or(path);
    if let Some((scheme, _)) = local.split_once("://") {
        return Err(Error::unsupported(format!(
            "'{path}': reading from {scheme}:// is not supported; give a local path"
        )));
    }
    let joined = base.join(local);
    std::path::absolute(&joined).map_err(|e| Error::io(format!("resolving '{path}'"), e))
}

fn format_of(format: FileFormat) -> Arc<dyn DataFusionFormat> {
    match format {
        FileFormat::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
        FileFormat::Csv => {
            Arc::new(CsvFormat::default().with_has_header(true).with_schema_infer_max_rec(TEXT_ROWS_FOR_TYPES))
        }
        FileFormat::Json => Arc::new(JsonFormat::default().with_schema_infer_max_rec(TEXT_ROWS_FOR_TYPES)),
    }
}

/// Checks that a Parquet file ends as one: the reader trusts the length of the metadata that stands there.
async fn check_footer(store: &dyn ObjectStore, file: &ObjectMeta) -> Result<(), DataFusionError> {
    const FOOTER: u64 = 8;
    let wrong = |why: &str| {
        DataFusionError::ParquetError(Box::new(ParquetError::General(format!(
            "/{} is no Parquet file: {why}",
            file.location
        ))))
    };
    if file.size < FOOTER + 4 {
        return Err(wrong("it is too short"));
    }
    let footer = store.get_range(&file.location, file.size - FOOTER..file.size).await?;
    let (length, magic) = footer.split_at(4);
    let length = length.iter().rev().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
    if magic != b"PAR1" {
        return Err(wrong("it does not end with PAR1"));
    }
    if length + FOOTER + 4 > file.size {
        return Err(wrong("its metadata would be longer than the file"));
    }
    Ok(())
}

async fn file_schema(state: &dyn Session, found: &Files, reference: &TableRef) -> Result<SchemaRef, DataFusionError> {
    let Files { store, files, options, .. } = found;
    let filled: Vec<ObjectMeta> = files.iter().filter(|file| file.size > 0).cloned().collect();
    if reference.format == FileFormat::Parquet {
        for file in &filled {
            check_footer(store.as_ref(), file).await?;
        }
    }
    if reference.format != FileFormat::Csv || filled.len() < 2 {
        return options.format.infer_schema(state, store, &filled).await;
    }
    // CSV columns are found by their place, so every file must have the same ones in the same order.
    let mut first: Option<SchemaRef> = None;
    for file in &filled {
        let schema = options.format.infer_schema(state, store, std::slice::from_ref(file)).await?;
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
