//! Where files are: local folders and object stores, by path or URL.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lodestore_core::{Error, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, parse_url_opts};
use url::Url;

/// A place in a store of files.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The store.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The scheme and host by which the store is known, as in `s3://bucket/` or `file:///`.
    pub(crate) root: Url,
    /// The path within the store; may be a glob.
    pub(crate) path: Path,
    /// The same place as a path of the file system, if it is there.
    pub(crate) local: Option<PathBuf>,
}

impl Place {
    /// Returns where a file of the store is in the file system, if the store is that.
    pub(crate) fn local_file(&self, location: &Path) -> Option<PathBuf> {
        self.local.as_ref().map(|_| PathBuf::from(format!("/{location}")))
    }
}

/// Finds stores, and keeps those that were found.
#[derive(Debug)]
pub(crate) struct Stores {
    base: PathBuf,
    options: BTreeMap<String, String>,
    open: Mutex<HashMap<Url, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// Returns stores without any open one; relative paths start at `base`.
    pub(crate) fn new(base: PathBuf, options: BTreeMap<String, String>) -> Self {
        Self { base, options, open: Mutex::default() }
    }

    /// Returns where a path or URL leads to.
    ///
    /// # Errors
    /// `Invalid` for a URL that is none or lacks settings, `Unsupported` for a scheme that is not known.
    pub(crate) fn place(&self, path: &str) -> Result<Place> {
        match path.split_once("://") {
            None => self.local(path, path),
            Some(("file", rest)) => self.local(path, rest),
            Some(_) => self.remote(path),
        }
    }

    fn local(&self, shown: &str, path: &str) -> Result<Place> {
        let absolute = std::path::absolute(self.base.join(path))
            .map_err(|e| Error::io(format!("resolving '{shown}'"), e))?;
        let wrong = |e: object_store::path::Error| Error::invalid(format!("'{shown}' is no path: {e}"));
        let path = Path::from_absolute_path(&absolute).or_else(|_| Path::parse(absolute.to_string_lossy()));
        Ok(Place {
            store: Arc::new(LocalFileSystem::new()),
            root: file_root()?,
            path: path.map_err(wrong)?,
            local: Some(absolute),
        })
    }

    fn remote(&self, path: &str) -> Result<Place> {
        let invalid = |why: &dyn std::fmt::Display| Error::invalid(format!("'{path}' is no URL of a store: {why}"));
        let url = Url::parse(path).map_err(|e| invalid(&e))?;
        let mut root = url.clone();
        root.set_path("/");
        root.set_query(None);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.get(&root).map(Arc::clone);
        let options = self.options.iter().map(|(name, value)| (name.clone(), value.clone()));
        let (opened, within) = parse_url_opts(&url, environment().chain(options)).map_err(|e| match e {
            object_store::Error::NotImplemented { .. } => {
                Error::unsupported(format!("'{path}': no store is known for {}://", url.scheme()))
            }
            other => invalid(&other),
        })?;
        let store = known.unwrap_or_else(|| Arc::from(opened));
        open.insert(root.clone(), Arc::clone(&store));
        Ok(Place { store, root, path: within, local: None })
    }
}

fn file_root() -> Result<Url> {
    Url::parse("file:///").map_err(|e| Error::internal(format!("file:/// is a URL: {e}")))
}

/// Returns the settings of stores that the environment gives, as other tools of these stores read them.
fn environment() -> impl Iterator<Item = (String, String)> {
    const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
    std::env::vars()
        .filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}
