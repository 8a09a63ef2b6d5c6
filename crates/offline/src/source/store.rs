//! Where files are: local folders and object stores, by path or URL.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lodestore_core::name::unknown;
use lodestore_core::time::Micros;
use lodestore_core::{Error, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};
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

    /// Returns whether the store is a web server: it has files, but no list of them.
    pub(crate) fn is_web(&self) -> bool {
        matches!(self.root.scheme(), "http" | "https")
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
            Some((scheme, _)) => self.remote(scheme, path),
        }
    }

    fn local(&self, shown: &str, path: &str) -> Result<Place> {
        let absolute =
            std::path::absolute(self.base.join(path)).map_err(|e| Error::io(format!("resolving '{shown}'"), e))?;
        let wrong = |e: object_store::path::Error| Error::invalid(format!("'{shown}' is no path: {e}"));
        let path = Path::from_absolute_path(&absolute).or_else(|_| Path::parse(absolute.to_string_lossy()));
        Ok(Place {
            store: Arc::new(LocalFileSystem::new()),
            root: file_root()?,
            path: path.map_err(wrong)?,
            local: Some(absolute),
        })
    }

    fn remote(&self, scheme: &str, path: &str) -> Result<Place> {
        let service = Service::of(scheme).ok_or_else(|| {
            Error::unsupported(format!("'{path}': no store is known for {scheme}://; {KNOWN_SCHEMES}"))
        })?;
        let url = parse(service, path)?;
        let invalid = |why: &dyn std::fmt::Display| Error::invalid(format!("'{path}' is no URL of a store: {why}"));
        let within = Path::from_url_path(url.path()).map_err(|e| invalid(&e))?;
        let mut root = url.clone();
        root.set_path("/");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&root) {
            return Ok(Place { store: Arc::clone(store), root, path: within, local: None });
        }
        let options = Options::of(&self.options)?;
        let store = service.open(&root, &options).map_err(|e| invalid(&e))?;
        open.insert(root.clone(), Arc::clone(&store));
        Ok(Place { store, root, path: within, local: None })
    }
}

fn file_root() -> Result<Url> {
    Url::parse("file:///").map_err(|e| Error::internal(format!("file:/// is a URL: {e}")))
}

/// What speaks another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    S3,
    GoogleCloudStorage,
    Azure,
    Web,
}

const KNOWN_SCHEMES: &str = "known: s3://, gs://, az://, abfss://, http://, https://, file://";

impl Service {
    fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::GoogleCloudStorage),
            "az" | "adl" | "azure" | "abfs" | "abfss" => Some(Self::Azure),
            "http" | "https" => Some(Self::Web),
            _ => None,
        }
    }

    /// Opens the store at a root. Names of options that are another service's are left out.
    fn open(self, root: &Url, options: &Options) -> object_store::Result<Arc<dyn ObjectStore>> {
        macro_rules! open {
            ($builder:expr) => {{
                let builder = $builder.with_url(root.as_str()).with_retry(options.retry.clone());
                let set = options.named.iter().fold(builder, |builder, (name, value)| match name.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
                Arc::new(set.build()?)
            }};
        }
        Ok(match self {
            Self::S3 => open!(AmazonS3Builder::new()),
            Self::GoogleCloudStorage => open!(GoogleCloudStorageBuilder::new()),
            Self::Azure => open!(MicrosoftAzureBuilder::new()),
            // Whoever writes http:// means it.
            Self::Web => open!(HttpBuilder::new().with_config(ClientConfigKey::AllowHttp, "true")),
        })
    }
}

/// Parses a URL of a store. `?` and `#` are parts of globs and of names of objects.
fn parse(service: Service, path: &str) -> Result<Url> {
    let literal = match service {
        Service::Web => path.to_owned(),
        _ => path.replace('?', "%3F").replace('#', "%23"),
    };
    let url = Url::parse(&literal).map_err(|e| Error::invalid(format!("'{path}' is no URL: {e}")))?;
    let shown = || format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    if url.password().is_some() {
        return Err(Error::invalid(format!("a URL must not hold a password, as that of '{}' does", shown())));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::invalid(format!(
            "'{}' comes with a query or fragment, as signed URLs do; only plain URLs of files are read",
            shown()
        )));
    }
    Ok(url)
}

/// Settings of stores.
struct Options {
    /// By the names of the client library; later ones win.
    named: Vec<(String, String)>,
    retry: RetryConfig,
}

impl Options {
    /// Returns the settings of the environment, and then those that are given.
    ///
    /// # Errors
    /// `Invalid` for a name that no store knows.
    fn of(given: &BTreeMap<String, String>) -> Result<Self> {
        let mut retry = RetryConfig::default();
        let mut named: Vec<_> = environment().collect();
        for (name, value) in given {
            let wrong =
                |expected: &str| Error::invalid(format!("storage option '{name}' is '{value}'; expected {expected}"));
            match name.to_ascii_lowercase().as_str() {
                "max_retries" => retry.max_retries = value.parse().map_err(|_| wrong("a number of retries"))?,
                "retry_timeout" => {
                    let micros: Micros = value.parse().map_err(|_| wrong("a duration, as in '30s'"))?;
                    retry.retry_timeout = Duration::from_micros(micros.as_micros().unsigned_abs());
                }
                name if is_known(name) => named.push((name.to_owned(), value.clone())),
                _ => {
                    let unknown = unknown(format!("storage option '{name}'"), &name.to_ascii_lowercase(), USUAL);
                    return Err(Error::invalid(format!("{}; see docs/object_stores.md", unknown.message())));
                }
            }
        }
        Ok(Self { named, retry })
    }
}

/// Names that are near to what was meant by a wrong one.
const USUAL: [&str; 28] = [
    "allow_http",
    "aws_access_key_id",
    "aws_allow_http",
    "aws_endpoint",
    "aws_endpoint_url",
    "aws_region",
    "aws_request_payer",
    "aws_role_arn",
    "aws_secret_access_key",
    "aws_server_side_encryption",
    "aws_session_token",
    "aws_skip_signature",
    "aws_sse_kms_key_id",
    "aws_virtual_hosted_style_request",
    "azure_client_id",
    "azure_client_secret",
    "azure_storage_account_key",
    "azure_storage_account_name",
    "azure_storage_sas_key",
    "azure_tenant_id",
    "connect_timeout",
    "google_application_credentials",
    "google_service_account",
    "google_service_account_key",
    "google_skip_signature",
    "max_retries",
    "retry_timeout",
    "timeout",
];

fn is_known(name: &str) -> bool {
    name.parse::<AmazonS3ConfigKey>().is_ok()
        || name.parse::<GoogleConfigKey>().is_ok()
        || name.parse::<AzureConfigKey>().is_ok()
        || name.parse::<ClientConfigKey>().is_ok()
}

/// Returns the settings of stores that the environment gives, as other tools of these stores read them.
fn environment() -> impl Iterator<Item = (String, String)> {
    const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| !value.is_empty() && PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use lodestore_core::ErrorKind;

    use super::*;

    fn stores(options: &[(&str, &str)]) -> Stores {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Stores::new(PathBuf::new(), options.collect())
    }

    #[test]
    fn urls_lead_to_places() {
        let account = [("azure_storage_account_name", "a"), ("azure_storage_use_emulator", "true")];
        let stores = stores(&account);
        for (url, root, path) in [
            ("s3://bucket/a/b=1/*.parquet", "s3://bucket/", "a/b=1/*.parquet"),
            ("s3a://bucket/f?.parquet", "s3a://bucket/", "f?.parquet"),
            ("s3://bucket/a b%2Fc/", "s3://bucket/", "a b/c"),
            ("s3://bucket", "s3://bucket/", ""),
            ("az://box/a.csv", "az://box/", "a.csv"),
            ("https://host:81/a.csv", "https://host:81/", "a.csv"),
        ] {
            let place = stores.place(url).unwrap();
            assert_eq!(
                (place.root.as_str(), place.path.as_ref(), place.is_web()),
                (root, path, url.starts_with("http"))
            );
        }
    }

    #[test]
    fn wrong_urls_and_options_are_told_without_secrets() {
        for (url, kind, says) in [
            ("ftp://host/a.csv", ErrorKind::Unsupported, "ftp://"),
            ("https://me:hunter2@host/a.csv", ErrorKind::Invalid, "https://host/a.csv"),
            ("https://host/a.csv?sig=hunter2", ErrorKind::Invalid, "https://host/a.csv"),
            ("s3:///a.csv", ErrorKind::Invalid, "s3:///a.csv"),
        ] {
            let error = stores(&[]).place(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(says) && !error.message().contains("hunter2"), "{error}");
        }
        for (name, value, says) in [
            ("aws_endpiont", "http://x", "did you mean 'aws_endpoint'"),
            ("max_retries", "often", "expected a number"),
            ("retry_timeout", "7", "expected a duration"),
        ] {
            let error = stores(&[(name, value)]).place("s3://bucket/a.csv").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains(says), "{error}");
        }
    }
}
