//! The metadata of a table: its newest metadata file, and what that leads to.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use iceberg::io::FileIO;
use iceberg::spec::{Manifest, ManifestFile, ManifestList, SnapshotRef, TableMetadata};
use lodestore_core::definition::TableRef;
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::{from_iceberg, unsupported};
use crate::error::from_store;
use crate::source::store::{Place, Stores};

/// The folder of a table that its metadata is in.
const FOLDER: &str = "metadata";

/// How the names of metadata files end.
const ENDINGS: [&str; 2] = [".metadata.json", ".metadata.json.gz"];

/// The schemes by which Hadoop's clients of S3 know it.
const S3_ALIASES: [&str; 2] = ["s3a://", "s3n://"];

/// Reads the metadata of one table.
pub(super) struct MetadataFiles<'a> {
    stores: &'a Stores,
    reference: &'a TableRef,
    pub(super) place: Place,
    /// Where files are put for the iceberg crate, which reads by means of its own.
    io: FileIO,
}

impl<'a> MetadataFiles<'a> {
    /// Returns what reads the metadata of the table at a path.
    pub(super) fn of(stores: &'a Stores, reference: &'a TableRef) -> Result<Self> {
        Ok(Self { stores, reference, place: stores.place(&reference.path)?, io: FileIO::new_with_memory() })
    }

    /// Returns the table's path, for messages.
    pub(super) fn path(&self) -> &'a str {
        &self.reference.path
    }

    /// Returns the table's reference with columns called as in the table.
    pub(super) fn unmapped(&self) -> TableRef {
        TableRef { field_mapping: BTreeMap::new(), ..self.reference.clone() }
    }

    /// Returns the metadata that the path leads to.
    ///
    /// # Errors
    /// `NotFound` if it leads to none.
    pub(super) async fn table(&self) -> Result<TableMetadata> {
        let path = &self.place.path;
        let file = match path.filename() {
            Some(name) if ENDINGS.iter().any(|ending| name.ends_with(ending)) => path.clone(),
            _ => self.newest().await?,
        };
        self.bring(&file, file.as_ref()).await?;
        TableMetadata::read_from(&self.io, &file).await.map_err(|e| from_iceberg(self.path(), e))
    }

    /// Returns the manifests of a snapshot.
    pub(super) async fn manifests(&self, metadata: &TableMetadata, snapshot: &SnapshotRef) -> Result<ManifestList> {
        if snapshot.encryption_key_id().is_some() {
            return Err(unsupported(self.path(), "encrypted files"));
        }
        let bytes = self.read(&self.locate(snapshot.manifest_list())?).await?;
        let list = ManifestList::parse_with_version(&bytes, metadata.format_version());
        list.map_err(|e| from_iceberg(self.path(), e))
    }

    /// Returns a manifest, its entries with what they inherit.
    pub(super) async fn manifest(&self, manifest: &ManifestFile) -> Result<Manifest> {
        self.bring(&self.locate(&manifest.manifest_path)?, &manifest.manifest_path).await?;
        manifest.load_manifest(&self.io).await.map_err(|e| from_iceberg(self.path(), e))
    }

    /// Returns where in the table's store a file is, given as the metadata gives it: with scheme and
    /// bucket, and not percent-encoded.
    ///
    /// # Errors
    /// `Unsupported` if it is in another store.
    pub(super) fn locate(&self, file: &str) -> Result<Path> {
        if self.place.local.is_some() {
            let path = file.strip_prefix("file:").map_or(file, |path| path.strip_prefix("//").unwrap_or(path));
            if !path.contains("://") {
                return self.stores.place(path).map(|place| place.path);
            }
        }
        let url = plain_scheme(file);
        let path = url.strip_prefix(plain_scheme(self.place.root.as_str()).as_ref());
        match path.filter(|_| self.place.local.is_none()) {
            Some(path) => Path::parse(path).map_err(|e| Error::corrupt(format!("'{file}' is no path: {e}"))),
            None => Err(Error::unsupported(format!(
                "the iceberg table '{}' has files in another store, as {file}; tables are read from one store",
                self.path()
            ))),
        }
    }

    /// Reads a whole file.
    pub(super) async fn read(&self, file: &Path) -> Result<Bytes> {
        let read = async { self.place.store.get(file).await?.bytes().await };
        read.await.map_err(|e| from_store(&format!("'/{file}' of the iceberg table '{}'", self.path()), e))
    }

    /// Reads a part of a file.
    pub(super) async fn read_range(&self, file: &Path, range: Range<u64>) -> Result<Bytes> {
        let read = self.place.store.get_range(file, range).await;
        read.map_err(|e| from_store(&format!("'/{file}' of the iceberg table '{}'", self.path()), e))
    }

    /// Puts a file where the iceberg crate reads it, under the name that it knows.
    async fn bring(&self, file: &Path, name: &str) -> Result<()> {
        let bytes = self.read(file).await?;
        let output = self.io.new_output(name).map_err(|e| from_iceberg(self.path(), e))?;
        output.write(bytes).await.map_err(|e| from_iceberg(self.path(), e))
    }

    /// Finds the newest metadata file: by the hint that tables without a catalog keep, else by the number
    /// that a name begins with.
    async fn newest(&self) -> Result<Path> {
        let folder = self.place.path.clone().join(FOLDER);
        let wrong = |e| from_store(&format!("the metadata of the iceberg table '{}'", self.path()), e);
        let listed = self.place.store.list_with_delimiter(Some(&folder)).await.map_err(wrong)?.objects;
        let hint = match self.place.store.get(&folder.clone().join("version-hint.text")).await {
            Ok(hint) => String::from_utf8_lossy(&hint.bytes().await.map_err(wrong)?).trim().parse().ok(),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(wrong(error)),
        };
        let numbered = |file: &ObjectMeta| {
            let name = file.location.filename().filter(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)))?;
            let number = name.trim_start_matches('v').split(['-', '.']).next()?.parse::<u64>().ok()?;
            // The hint is written after the metadata: what is newer than it counts, what is older does not.
            (hint.is_none_or(|hint| number >= hint)).then(|| (number, file.last_modified, file.location.clone()))
        };
        let newest = listed.iter().filter_map(numbered).min_by_key(|(number, changed, _)| Reverse((*number, *changed)));
        newest.map(|(_, _, location)| location).ok_or_else(|| {
            Error::not_found(format!(
                "no iceberg table is at '{}': it has no metadata/*.metadata.json; a table of a catalog is given by the path of its folder or metadata file",
                self.path()
            ))
        })
    }
}

/// Returns a URL with the scheme that S3 has outside of Hadoop.
fn plain_scheme(url: &str) -> Cow<'_, str> {
    match S3_ALIASES.iter().find_map(|alias| url.strip_prefix(alias)) {
        Some(rest) => Cow::Owned(format!("s3://{rest}")),
        None => Cow::Borrowed(url),
    }
}
