//! The files of a table: one, a glob, or a folder with Hive partitions.

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use lodestore_core::definition::TableRef;
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

use super::store::{Place, Stores};
use crate::error::from_store;

/// What Hive writes for a partition whose value is null.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The characters that make a path a glob.
const GLOB: [char; 3] = ['*', '?', '['];

/// The files that were found for a table, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Files {
    /// Where the table is.
    pub(crate) place: Place,
    /// The files.
    pub(crate) files: Vec<ObjectMeta>,
    /// The names of the Hive partition columns.
    pub(crate) partitions: Vec<String>,
}

impl Files {
    /// Finds the files at a table's path. In a folder those that end with `ending` are the table's, and
    /// none whose name starts with `.` or `_`.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Invalid` if their partitions differ.
    pub(crate) async fn find(stores: &Stores, reference: &TableRef, ending: &str) -> Result<Self> {
        let place = stores.place(&reference.path)?;
        let what = format!("'{}'", reference.path);
        let in_store = |error| from_store(&what, error);
        match place.store.head(&place.path).await {
            Ok(file) => return Ok(Self { place, files: vec![file], partitions: Vec::new() }),
            Err(object_store::Error::NotFound { .. }) => {}
            // A folder of the file system is no object.
            Err(_) if place.local.as_ref().is_some_and(|path| path.is_dir()) => {}
            Err(error) => return Err(in_store(error)),
        }
        let is_folder = place.local.as_ref().is_none_or(|path| path.is_dir());
        let is_glob = reference.path.contains(GLOB) && !place.local.as_ref().is_some_and(|path| path.exists());
        if !is_glob && !is_folder {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::io(format!("reading {what}"), missing));
        }
        let root = if is_glob { before_glob(&place.path) } else { place.path.clone() };
        let listed: Vec<ObjectMeta> = place.store.list(Some(&root)).try_collect().await.map_err(in_store)?;
        let pattern = is_glob.then(|| Pattern::new(place.path.as_ref())).transpose();
        let pattern = pattern.map_err(|e| Error::invalid(format!("{what} is no glob: {e}")))?;
        let is_of_table = |file: &ObjectMeta| match &pattern {
            Some(pattern) => pattern.matches_with(file.location.as_ref(), GLOB_RULES),
            None => file.location.as_ref().ends_with(ending) && !is_hidden(&root, &file.location),
        };
        let mut files: Vec<ObjectMeta> = listed.into_iter().filter(is_of_table).collect();
        files.sort_by(|a, b| a.location.cmp(&b.location));
        if files.is_empty() {
            let ending = if is_glob { "" } else { ending };
            let place = place.local.as_ref().map_or_else(|| reference.path.clone(), |path| path.display().to_string());
            return Err(Error::not_found(format!("no {ending} file is at {what} ({place})")));
        }
        let partitions = if is_glob { Vec::new() } else { partitions_of(&root, &files, &what)? };
        Ok(Self { place, files, partitions })
    }

    /// Returns the partition values of a file as text, in the order of the partition columns.
    pub(crate) fn partition_values(&self, file: &ObjectMeta) -> Vec<Option<String>> {
        let value = |(_, value): (String, String)| (value != NULL_PARTITION).then_some(value);
        partitions_in(&self.place.path, &file.location).map(value).take(self.partitions.len()).collect()
    }

    /// Returns a line for each file: its path, size and time of change.
    pub(crate) fn fingerprint(&self) -> String {
        let line = |file: &ObjectMeta| {
            format!("/{} {} bytes, changed {}", file.location, file.size, file.last_modified.to_rfc3339())
        };
        self.files.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A `*` stays within a folder; `**` goes below it.
const GLOB_RULES: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Returns a partition's value as an array of length one of its column's type.
///
/// # Errors
/// `Invalid` if the text is no value of the type.
pub(crate) fn partition_array(column: &Field, value: Option<&str>) -> Result<ArrayRef> {
    let Some(value) = value else { return Ok(new_null_array(column.data_type(), 1)) };
    let text: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let typed = cast(&text, column.data_type()).ok().filter(|array| array.is_valid(0));
    typed.ok_or_else(|| {
        Error::invalid(format!(
            "partition column '{}' has the value '{value}', which is no {}",
            column.name(),
            column.data_type()
        ))
    })
}

/// Returns the type that a partition column is read as: the declared one, unless paths can't tell it.
pub(crate) fn partition_type(declared: Option<DataType>) -> DataType {
    declared.filter(|ty| !ty.is_nested()).unwrap_or(DataType::Utf8)
}

/// Returns the part of a path before the first piece that is a glob.
fn before_glob(path: &Path) -> Path {
    let parts: Vec<_> = path.parts().collect();
    let first = parts.iter().position(|part| part.as_ref().contains(GLOB)).unwrap_or(parts.len());
    parts.into_iter().take(first).collect()
}

fn is_hidden(root: &Path, file: &Path) -> bool {
    below(root, file).any(|part| part.starts_with('.') || part.starts_with('_') && !part.contains('='))
}

/// Returns the pieces of a file's path below a folder.
fn below<'a>(root: &'a Path, file: &'a Path) -> impl Iterator<Item = &'a str> {
    let prefix = root.as_ref().len();
    file.as_ref()[prefix..].split('/').filter(|part| !part.is_empty())
}

fn partitions_in<'a>(root: &'a Path, file: &'a Path) -> impl Iterator<Item = (String, String)> + 'a {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = move |part: &str| part.split_once('=').map(|(name, value)| (decoded(name), decoded(value)));
    let folders = below(root, file).collect::<Vec<_>>();
    let folders = folders.len().saturating_sub(1);
    below(root, file).take(folders).map_while(pair)
}

fn partitions_of(root: &Path, files: &[ObjectMeta], what: &str) -> Result<Vec<String>> {
    let names = |file: &ObjectMeta| partitions_in(root, &file.location).map(|(name, _)| name).collect::<Vec<_>>();
    let first = files.first().map(names).unwrap_or_default();
    match files.iter().find(|file| names(file) != first) {
        Some(other) => Err(Error::invalid(format!(
            "the files of {what} are not partitioned alike: /{} by {:?}, but /{} by {first:?}",
            other.location,
            names(other),
            files[0].location
        ))),
        None => Ok(first),
    }
}
