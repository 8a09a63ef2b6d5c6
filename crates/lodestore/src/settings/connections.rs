//! Connections to databases that sources read from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lodestore_offline::{ConnectionConfig, Encryption, PostgresConfig};
use serde::{Deserialize, Deserializer};

use super::Settings;

/// What the connection of an offline store of type `postgres`, a setting of Feast's, is called.
const OFFLINE_STORE: &str = "postgres";

/// How a database is reached: a map with `type` and its settings.
#[derive(Debug, Clone)]
pub struct ConnectionSettings(pub(super) PostgresConfig);

impl<'de> Deserialize<'de> for ConnectionSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Type {
            Postgres,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            #[serde(rename = "type")]
            _type: Type,
            url: Option<String>,
            host: Option<String>,
            port: Option<u16>,
            user: Option<String>,
            password: Option<String>,
            database: Option<String>,
            #[serde(default, deserialize_with = "sslmode")]
            sslmode: Option<Encryption>,
            sslrootcert: Option<PathBuf>,
            options: Option<String>,
        }
        let long = Long::deserialize(deserializer)?;
        if long.url.is_some() && (long.host.is_some() || long.port.is_some()) {
            return Err(serde::de::Error::custom("give a url, or host and port, not both"));
        }
        if long.url.is_none() && long.host.is_none() {
            return Err(serde::de::Error::custom("a connection needs a url or a host"));
        }
        Ok(Self(PostgresConfig {
            url: long.url.unwrap_or_default(),
            host: long.host,
            port: long.port,
            user: long.user,
            password: long.password,
            database: long.database,
            encryption: long.sslmode,
            root_certificate: long.sslrootcert,
            options: long.options,
        }))
    }
}

/// Reads how a connection is encrypted, by libpq's names.
pub(super) fn sslmode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Encryption>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

impl Settings {
    /// Returns how databases are reached, by the names of the connections; relative paths count from `repo`.
    pub(crate) fn connections(&self, repo: &Path) -> BTreeMap<String, ConnectionConfig> {
        let mut connections = self.connections.clone();
        if let Some(connection) = self.offline_store.connection.clone() {
            connections.entry(OFFLINE_STORE.to_owned()).or_insert(connection);
        }
        let config = |ConnectionSettings(config): ConnectionSettings| {
            let root_certificate = config.root_certificate.as_ref().map(|path| repo.join(path));
            ConnectionConfig::Postgres(PostgresConfig { root_certificate, ..config })
        };
        connections.into_iter().map(|(name, settings)| (name, config(settings))).collect()
    }
}

#[cfg(test)]
mod tests {
    use lodestore_core::Result;

    use super::*;

    #[test]
    fn databases_have_names_and_keep_their_secrets() -> Result<()> {
        let text = "project: a\nconnections:\n  events: {type: postgres, url: 'postgresql://me:secret@db/x'}\n  \
                    warehouse: {type: postgres, host: db, port: 5433, password: 1234, sslmode: verify-full, \
                    sslrootcert: root.crt}\n\
                    offline_store: {type: postgres, host: old, database: x, db_schema: public, user: u, password: secret}";
        let settings = Settings::parse(text, "feature_store.yaml")?;
        let connections = settings.connections(Path::new("/repo"));
        assert_eq!(connections.keys().collect::<Vec<_>>(), ["events", "postgres", "warehouse"]);
        let ConnectionConfig::Postgres(warehouse) = &connections["warehouse"];
        assert_eq!(warehouse.password.as_deref(), Some("1234"));
        assert_eq!(warehouse.root_certificate.as_deref(), Some(Path::new("/repo/root.crt")));
        let ConnectionConfig::Postgres(feast) = &connections["postgres"];
        assert_eq!(feast.options.as_deref(), Some("-c search_path=public"));
        let shown = format!("{settings:?}{connections:?}");
        assert!(!shown.contains("secret") && !shown.contains("1234"), "{shown}");
        Ok(())
    }

    #[test]
    fn wrong_settings_of_databases_are_named() {
        let of = |settings: &str| format!("project: a\nconnections: {{w: {settings}}}");
        check(&of("{type: oracle, host: a}"), &["oracle", "postgres"]);
        check(&of("{type: postgres}"), &["needs a url or a host"]);
        check(&of("{type: postgres, url: a, host: b}"), &["not both"]);
        check(&of("{type: postgres, host: a, sslmode: allow}"), &["allow", "verify-full"]);
        check(&of("{type: postgres, host: a, pasword: b}"), &["pasword", "password"]);
        check("project: a\noffline_store: {type: dask, host: a}", &["type postgres has a host"]);
        check("project: a\noffline_store: {type: postgres}", &["type postgres has a host"]);
    }

    fn check(text: &str, expected: &[&str]) {
        let error = Settings::parse(text, "feature_store.yaml").unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}\n does not contain {expected:?}");
    }
}
