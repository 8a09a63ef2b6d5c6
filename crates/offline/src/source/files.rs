//! The files of a table: one, a glob, or a folder with Hive partitions.

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use lodestore_core::definition::{TableRef, UNTYPED};
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

use super::store::{Place, Stores};
use crate::error::from_store;

/// What Hive writes for a partition whose value is null.
pub(crate) const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

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
        if let Some(file) = single(&place, reference).await? {
            return Ok(Self { place, files: vec![file], partitions: Vec::new() });
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
        if self.partitions.is_empty() {
            return Vec::new();
        }
        let value = |(_, value): (String, &str)| (value != NULL_PARTITION).then(|| decoded(value));
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

/// Returns the file at a table's path, if there is one of exactly that name.
async fn single(place: &Place, reference: &TableRef) -> Result<Option<ObjectMeta>> {
    let what = format!("'{}'", reference.path);
    let is_folder = || place.local.as_ref().is_some_and(|path| path.is_dir());
    if place.local.is_none() && !place.is_web() && reference.path.ends_with('/') {
        return Ok(None);
    }
    match place.store.head(&place.path).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if place.is_web() => Err(match error.to_string() {
            text if NO_HEAD.iter().any(|status| text.contains(status)) => Error::unsupported(format!(
                "the server of {what} does not answer HEAD requests, by which the size of a file is learnt: {error}"
            )),
            _ if reference.path.contains(GLOB) => Error::invalid(format!(
                "{what}: an http:// or https:// source is one file, since servers list none; name the file"
            )),
            _ => from_store(&what, error),
        }),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        // A folder of the file system is no object.
        Err(_) if is_folder() => Ok(None),
        Err(error) => Err(from_store(&what, error)),
    }
}

/// What servers answer that know no HEAD.
const NO_HEAD: [&str; 2] = ["405 Method Not Allowed", "501 Not Implemented"];

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

/// Returns a partition column of the declared type, unless paths can't tell it. They tell none themselves.
pub(crate) fn partition_field(name: &str, declared: Option<DataType>) -> Field {
    let untyped = declared.is_none().then(|| (UNTYPED.to_owned(), String::new()));
    let data_type = declared.filter(|ty| !ty.is_nested()).unwrap_or(DataType::Utf8);
    Field::new(name, data_type, true).with_metadata(untyped.into_iter().collect())
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
    file.as_ref().get(prefix..).unwrap_or_default().split('/').filter(|part| !part.is_empty())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Returns the names and values of a file's partitions. Values are as they are in the path, where a text
/// that reads like a null is told from one by how it is encoded.
fn partitions_in<'a>(root: &'a Path, file: &'a Path) -> impl Iterator<Item = (String, &'a str)> {
    let pair = |part: &'a str| part.split_once('=').map(|(name, value)| (decoded(name), value));
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
