//! Settings of the server, and of who may use it.

use serde::Deserialize;

use super::MemorySize;

/// Who may use a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthSettings {
    /// Everybody who reaches it.
    #[default]
    NoAuth,
    /// Whoever sends one of some keys.
    ApiKeys {
        /// The keys.
        keys: Vec<ApiKeySettings>,
    },
}

/// A key that opens the server. The key itself is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// Who has it; for logs.
    pub name: String,
    /// The SHA-256 of the key, in hexadecimal.
    pub sha256: String,
}

/// Where a server listens, and its limits; defaults stand for what is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureServerSettings {
    #[serde(rename = "type")]
    _type: Option<ServerType>,
    /// Accepted for Feast's sake, and ignored: whoever starts a server wants one.
    #[serde(rename = "enabled")]
    _enabled: Option<bool>,
    /// The address.
    pub host: Option<String>,
    /// The port of HTTP.
    pub port: Option<u16>,
    /// The port of gRPC; without it there is none.
    pub grpc_port: Option<u16>,
    /// How large a request's body may be.
    pub max_body: Option<MemorySize>,
    /// How many rows a request may have.
    pub max_entities: Option<usize>,
    /// How many requests are worked on at the same time.
    pub max_in_flight: Option<usize>,
    /// How many connections may be open.
    pub max_connections: Option<usize>,
    /// How long an answer may take.
    pub request_seconds: Option<u32>,
    /// How long a connection may stay open without a whole request head.
    pub idle_seconds: Option<u32>,
    /// How long requests may take to end when the server stops.
    pub drain_seconds: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ServerType {
    Local,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    #[test]
    fn the_sections_of_the_server_are_read() {
        let text = "project: a\nauth: {type: api_keys, keys: [{name: ci, sha256: ab}]}\n\
                    feature_server: {type: local, port: 7000, max_body: 1MiB}\n";
        let settings = Settings::parse(text, "t").unwrap();
        let key = ApiKeySettings { name: "ci".into(), sha256: "ab".into() };
        assert_eq!(settings.auth, AuthSettings::ApiKeys { keys: vec![key] });
        assert_eq!(settings.feature_server.max_body, Some(MemorySize(1 << 20)));
        assert_eq!(Settings::parse("project: a\nauth: {type: no_auth}", "t").unwrap().auth, AuthSettings::NoAuth);
        for (wrong, names) in [
            ("auth: {type: oidc}", "api_keys"),
            ("auth: {type: api_keys}", "keys"),
            ("feature_server: {prot: 1}", "grpc_port"),
        ] {
            let error = Settings::parse(&format!("project: a\n{wrong}"), "t").unwrap_err();
            assert!(error.message().contains(names), "{error}");
        }
    }
}
