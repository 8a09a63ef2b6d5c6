//! Settings: `feature_store.yaml`, with Feast's keys where they mean the same.

mod connections;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lodestore_core::document::from_yaml;
use lodestore_core::name::ProjectName;
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::{Error, Result};
use lodestore_offline::{Encryption, PostgresConfig};
use serde::{Deserialize, Deserializer};

pub use connections::ConnectionSettings;
pub use server::{ApiKeySettings, AuthSettings, FeatureServerSettings};

/// The name of the settings file in a feature repository.
const SETTINGS_FILE: &str = "feature_store.yaml";

/// Where a store's settings are.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The feature repository, to which relative paths count; the settings file's folder where it is
    /// left out, else the working directory.
    pub repo_path: Option<PathBuf>,
    /// The settings file; `feature_store.yaml` in the repository where it is left out.
    pub settings_file: Option<PathBuf>,
    /// The settings themselves, as YAML or JSON text.
    pub settings_text: Option<String>,
    /// A moment at which the store's clock stands still, for tests and demonstrations on old data.
    pub now: Option<EventTime>,
}

impl OpenOptions {
    /// Returns options for a repository with its own `feature_store.yaml`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { repo_path: Some(folder.to_owned()), ..Self::default() }
    }

    /// Returns the repository's folder and its settings.
    ///
    /// # Errors
    /// `NotFound` if there is no settings file, `Invalid`, with line and column, for settings that
    /// can't be understood.
    pub fn load(&self) -> Result<(PathBuf, Settings)> {
        if self.settings_text.is_some() && self.settings_file.is_some() {
            return Err(Error::invalid("give the settings themselves or a file with them, not both"));
        }
        let file_folder = self.settings_file.as_deref().and_then(Path::parent).filter(|p| !p.as_os_str().is_empty());
        let folder = self.repo_path.as_deref().or(file_folder).unwrap_or(Path::new("."));
        let folder = std::path::absolute(folder).map_err(|e| Error::io("finding the feature repository", e))?;
        let settings = match &self.settings_text {
            Some(text) => Settings::parse(text, "settings")?,
            None => {
                let file = self.settings_file.clone().unwrap_or_else(|| folder.join(SETTINGS_FILE));
                let text = std::fs::read_to_string(&file).map_err(|e| missing_settings(&file, e))?;
                Settings::parse(&text, &file.display().to_string())?
            }
        };
        Ok((folder, settings))
    }
}

fn missing_settings(file: &Path, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::not_found(format!(
            "there is no settings file '{}'; 'lodestore init' makes a feature repository with one",
            file.display()
        ));
    }
    Error::io(format!("reading '{}'", file.display()), error)
}

/// The settings of a store.
///
/// # Examples
/// ```
/// use lodestore::Settings;
/// let settings = Settings::parse("project: demo\nonline_store: {type: embedded, path: data/online}", "example")?;
/// assert_eq!(settings.project.as_str(), "demo");
/// assert!(Settings::parse("project: demo\nonlin_store: x", "example").is_err());
/// # Ok::<(), lodestore::core::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The project: a namespace within the registry.
    pub project: ProjectName,
    /// What the project is.
    #[serde(default)]
    pub project_description: String,
    /// Where everything runs; only `local`.
    #[serde(default, rename = "provider")]
    _provider: Option<Provider>,
    /// Where definitions are stored.
    #[serde(default)]
    pub registry: RegistrySettings,
    /// Where online rows are stored.
    #[serde(default)]
    pub online_store: OnlineSettings,
    /// What computes over tables.
    #[serde(default)]
    pub offline_store: OfflineSettings,
    /// Databases that sources read from, by the names that the sources have for them.
    #[serde(default)]
    pub connections: BTreeMap<String, ConnectionSettings>,
    /// Options of object stores such as S3, by the names that their client library has for them, as in
    /// `aws_endpoint`. They go before the environment's.
    #[serde(default)]
    pub storage_options: BTreeMap<String, String>,
    /// Limits of materialisation.
    #[serde(default)]
    pub materialization: MaterializationSettings,
    /// Who may use the server.
    #[serde(default)]
    pub auth: AuthSettings,
    /// Where the server listens, and its limits.
    #[serde(default)]
    pub feature_server: FeatureServerSettings,
    /// Accepted for Feast's sake, and ignored: keys have one form here.
    #[serde(default, rename = "entity_key_serialization_version")]
    _entity_key_serialization_version: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Provider {
    Local,
}

impl Settings {
    /// Parses settings; `origin` is what they are called in messages. `${NAME}` and `${NAME:-default}`
    /// are replaced by environment variables, `$$` by a dollar sign.
    ///
    /// # Errors
    /// `Invalid`, with line and column, for malformed text, an unknown key (it names the known ones)
    /// or a wrong value; or for a variable that is not set.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let text = expand(text, &|name| std::env::var(name).ok())
            .map_err(|e| Error::invalid(format!("{origin}: {}", e.message())))?;
        from_yaml(&text, origin)
    }
}

/// Replaces environment variables in all lines but comments.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut expanded = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_start().starts_with('#') {
            expanded.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            let (value, after) = variable_at(&rest[at + 1..], variable)
                .map_err(|e| Error::invalid(format!("line {}: {}", number + 1, e.message())))?;
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
    }
    Ok(expanded)
}

/// Returns the value of what stands behind a dollar sign, and what follows it.
fn variable_at<'a>(text: &'a str, variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, &'a str)> {
    if let Some(after) = text.strip_prefix('$') {
        return Ok(("$".into(), after));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, default, after) = match text.strip_prefix('{') {
        Some(braced) => {
            let (inside, after) = braced.split_once('}').ok_or_else(|| Error::invalid("'${' without a closing '}'"))?;
            match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default), after),
                None => (inside, None, after),
            }
        }
        None => {
            let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
            (&text[..end], None, &text[end..])
        }
    };
    if name.is_empty() || !name.chars().all(is_name) {
        return Ok((format!("${}", &text[..text.len() - after.len()]), after));
    }
    match variable(name).or(default.map(str::to_owned)) {
        Some(value) => Ok((value, after)),
        None => Err(Error::invalid(format!(
            "environment variable '{name}' is not set; set it, or give a default as in '${{{name}:-value}}'"
        ))),
    }
}

/// Where definitions are stored: a path, or a map with `path`.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// The SQLite file, relative to the repository.
    pub path: PathBuf,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self { path: "data/registry.db".into() }
    }
}

impl<'de> Deserialize<'de> for RegistrySettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Type {
            /// Feast's name for a registry in a local file.
            File,
            Sqlite,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            path: PathBuf,
            #[serde(default, rename = "registry_type")]
            _registry_type: Option<Type>,
        }
        let from_text = |path: &str| Ok(Long { path: path.into(), _registry_type: None });
        let Long { path, .. } = text_or(deserializer, "a path, or a map with path", from_text)?;
        Ok(Self { path })
    }
}

/// Where online rows are stored: a type, or a map with `type` and its settings.
#[derive(Debug, Clone)]
pub struct OnlineSettings {
    /// The folder of the embedded store, relative to the repository.
    pub path: PathBuf,
    /// How large the embedded store may grow; address space, not disk.
    pub map_size_bytes: Option<u64>,
}

const ONLINE_PATH: &str = "data/online_store";

impl Default for OnlineSettings {
    fn default() -> Self {
        Self { path: ONLINE_PATH.into(), map_size_bytes: None }
    }
}

impl<'de> Deserialize<'de> for OnlineSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Type {
            Embedded,
            /// The local store of a Feast repository: ours takes its place.
            Sqlite,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            #[serde(rename = "type")]
            _type: Type,
            #[serde(default)]
            path: Option<PathBuf>,
            #[serde(default)]
            map_size_bytes: Option<u64>,
        }
        let long = text_or(deserializer, "a type of online store, or a map with type", |text| match text {
            "embedded" | "sqlite" => Ok(Long { _type: Type::Embedded, path: None, map_size_bytes: None }),
            other => Err(Error::invalid(format!("unknown online_store type '{other}'; known: embedded"))),
        })?;
        Ok(Self { path: long.path.unwrap_or_else(|| ONLINE_PATH.into()), map_size_bytes: long.map_size_bytes })
    }
}

/// What computes over tables: a type, or a map with `type` and its settings.
#[derive(Debug, Clone, Default)]
pub struct OfflineSettings {
    /// How many threads a join or scan uses at the most; one for each core where it is left out.
    pub threads: Option<usize>,
    /// How many bytes the process should have resident at the most while it joins.
    pub memory_limit: Option<MemorySize>,
    /// Where temporary files are made when the memory does not do, relative to the repository; the
    /// system's place for them where it is left out.
    pub spill_path: Option<PathBuf>,
    /// The database of Feast's offline store of type `postgres`; the engine is ours all the same.
    pub connection: Option<ConnectionSettings>,
}

impl<'de> Deserialize<'de> for OfflineSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, PartialEq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Type {
            #[default]
            DataFusion,
            /// The local engines of a Feast repository: ours takes their place.
            File,
            Dask,
            DuckDb,
            /// A database where Feast joins, and from which ours reads.
            Postgres,
        }
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            #[serde(rename = "type")]
            store_type: Type,
            threads: Option<usize>,
            memory_limit: Option<MemorySize>,
            spill_path: Option<PathBuf>,
            host: Option<String>,
            port: Option<u16>,
            database: Option<String>,
            db_schema: Option<String>,
            user: Option<String>,
            password: Option<String>,
            #[serde(default, deserialize_with = "connections::sslmode")]
            sslmode: Option<Encryption>,
            sslrootcert_path: Option<PathBuf>,
        }
        let long = text_or(deserializer, "a type of offline store, or a map with type", |text| match text {
            "datafusion" | "file" | "dask" | "duckdb" => Ok(Long::default()),
            other => Err(Error::invalid(format!("unknown offline_store type '{other}'; known: datafusion"))),
        })?;
        let has_database = long.host.is_some();
        if has_database != (long.store_type == Type::Postgres) {
            return Err(serde::de::Error::custom("an offline_store of type postgres has a host, others have none"));
        }
        let connection = has_database.then(|| {
            ConnectionSettings(PostgresConfig {
                host: long.host,
                port: long.port,
                user: long.user,
                password: long.password,
                database: long.database,
                encryption: long.sslmode,
                root_certificate: long.sslrootcert_path,
                options: long.db_schema.map(|schema| format!("-c search_path={schema}")),
                ..PostgresConfig::default()
            })
        });
        let Long { threads, memory_limit, spill_path, .. } = long;
        Ok(Self { threads, memory_limit, spill_path, connection })
    }
}

/// A number of bytes: a whole number, or one with a unit, as in `2GB` or `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySize(pub u64);

impl std::str::FromStr for MemorySize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const UNITS: [(&str, u64); 8] = [
            ("kib", 1 << 10),
            ("mib", 1 << 20),
            ("gib", 1 << 30),
            ("kb", 1_000),
            ("mb", 1_000_000),
            ("gb", 1_000_000_000),
            ("b", 1),
            ("", 1),
        ];
        let wrong = || {
            Error::invalid(format!(
                "{text:?} is not a size; expected bytes, or a number with a unit (kB MB GB KiB MiB GiB)"
            ))
        };
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((lower.strip_suffix(unit)?.trim_end(), *bytes)))
            .ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        if !(number > 0.0 && number.is_finite()) {
            return Err(wrong());
        }
        Ok(Self((number * unit as f64) as u64))
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) if bytes > 0 => Ok(Self(bytes)),
            Written::Bytes(_) => Err(serde::de::Error::custom("a size must be greater than 0")),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Limits of materialisation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaterializationSettings {
    /// Rows are committed whenever this many bytes of them have been read.
    #[serde(default)]
    pub batch_bytes: Option<usize>,
    /// How far behind the watermark incremental runs look for late rows, where a source has no
    /// created times.
    #[serde(default)]
    pub late_arrival_overlap: Option<Micros>,
    /// A run fails when more rows are refused.
    #[serde(default)]
    pub max_refused_rows: Option<u64>,
}

/// Reads a map, or text that stands for one.
fn text_or<'de, D, T>(deserializer: D, expecting: &'static str, from_text: fn(&str) -> Result<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Visitor<T>(&'static str, fn(&str) -> Result<T>);

    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            self.1(text).map_err(E::custom)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(Visitor(expecting, from_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feast_repository_is_understood() -> Result<()> {
        let text = "project: my_project\nregistry: data/registry.db\nprovider: local\n\
                    online_store:\n  type: sqlite\n  path: data/online_store.db\nentity_key_serialization_version: 3\n";
        let settings = Settings::parse(text, "feature_store.yaml")?;
        assert_eq!(settings.registry.path, PathBuf::from("data/registry.db"));
        assert_eq!(settings.online_store.path, PathBuf::from("data/online_store.db"));
        Ok(())
    }

    fn check_error(text: &str, expected: &[&str]) {
        let error = Settings::parse(text, "feature_store.yaml").unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{error}\n does not contain {part:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_named_with_what_is() {
        check_error("project: a\nregistri: b\n", &["feature_store.yaml", "registri", "registry", "line 2"]);
        check_error("project: a\nonline_store: {type: redis}\n", &["redis", "embedded"]);
        check_error("project: a\nonline_store: redis\n", &["unknown online_store type 'redis'", "embedded"]);
        check_error("project: a\nprovider: gcp\n", &["gcp", "local"]);
        check_error("registry: b\n", &["project"]);
        check_error("project: [\n", &["feature_store.yaml"]);
        check_error("project: a/b\n", &["must not contain '/'"]);
    }

    #[test]
    fn sizes_have_units() -> Result<()> {
        let settings =
            Settings::parse("project: a\noffline_store: {type: file, memory_limit: 1.5GB, threads: 2}", "t")?;
        assert_eq!(settings.offline_store.memory_limit, Some(MemorySize(1_500_000_000)));
        for (text, bytes) in [("512MiB", 512 << 20), ("2 gb", 2_000_000_000), ("4096", 4096)] {
            assert_eq!(text.parse::<MemorySize>()?, MemorySize(bytes));
        }
        check_error("project: a\noffline_store: {type: file, memory_limit: much}\n", &["much", "is not a size"]);
        check_error("project: a\noffline_store: {type: file, memory_limit: 0}\n", &["greater than 0"]);
        Ok(())
    }

    #[test]
    fn variables_are_replaced() -> Result<()> {
        let variable = |name: &str| (name == "HOME_OF_DATA").then(|| "/data".to_owned());
        let check = |text: &str| expand(text, &variable);
        assert_eq!(check("a: ${HOME_OF_DATA}/x\n# $NO\nb: $HOME_OF_DATA\n")?, "a: /data/x\n# $NO\nb: /data\n");
        assert_eq!(check("a: ${NO:-default}, $$5, cost$ 3")?, "a: default, $5, cost$ 3");
        let error = check("a: 1\nb: ${NO}").unwrap_err();
        assert!(error.message().starts_with("line 2: environment variable 'NO' is not set"), "{error}");
        assert!(check("a: ${NO").is_err());
        Ok(())
    }
}
