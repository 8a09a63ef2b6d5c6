//! How PostgreSQL databases are reached: settings, and what the client makes of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lodestore_core::{Error, Result};
use tokio_postgres::config::SslMode;

use super::tls::Tls;

/// How a PostgreSQL database is reached. What is set beside `url` goes before what stands in it, but for
/// the host and the port.
#[derive(Clone, Default)]
pub struct PostgresConfig {
    /// A `postgresql://` URL, or a connection string as in `host=db.example user=reader dbname=features`.
    pub url: String,
    /// The server's name or address, or the folder of its Unix socket.
    pub host: Option<String>,
    /// The server's port; 5432 where it is left out.
    pub port: Option<u16>,
    /// Who reads.
    pub user: Option<String>,
    /// The password; that of the environment variable `PGPASSWORD` where none is given.
    pub password: Option<String>,
    /// The database; the one called as the user where it is left out.
    pub database: Option<String>,
    /// How the connection is encrypted.
    pub encryption: Option<Encryption>,
    /// A PEM file with the certificates to trust, in place of the system's. The connection is then
    /// encrypted and the server's certificate verified, but for `disable`.
    pub root_certificate: Option<PathBuf>,
    /// Options of the session, as in `-c search_path=features`.
    pub options: Option<String>,
}

impl fmt::Debug for PostgresConfig {
    /// Shows nothing that may be a secret, or that may have one in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig").field("host", &self.host).finish_non_exhaustive()
    }
}

/// How a connection is encrypted, by libpq's names (`sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// `disable`: not at all.
    Disable,
    /// `prefer`: if the server can. Whose server it is, is not verified.
    #[default]
    Prefer,
    /// `require`: always. Whose server it is, is not verified.
    Require,
    /// `verify-full`: always, and the server's certificate must be trusted and bear its name.
    VerifyFull,
}

impl FromStr for Encryption {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-full" => Self::VerifyFull,
            other => {
                return Err(Error::invalid(format!(
                    "unknown sslmode '{other}'; known: disable, prefer, require, verify-full"
                )));
            }
        })
    }
}

/// How long a connection may take to be made, where the connection string says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long a silent server is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

impl PostgresConfig {
    /// Returns the client's settings. Errors don't repeat what was given: it may hold a password.
    pub(super) fn client(&self) -> Result<(tokio_postgres::Config, Tls)> {
        // The client's own parser knows no verification.
        const VERIFY: &str = "sslmode=verify-full";
        let url = self.url.replace(VERIFY, "sslmode=require");
        let mut config = tokio_postgres::Config::from_str(&url).map_err(|_| {
            Error::invalid(
                "its url is not understood; expected one like 'postgresql://user@host:5432/database', \
                 and the password, if it has special characters, in 'password'",
            )
        })?;
        self.fill(&mut config);
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::invalid("it has no host; give a url or a host"));
        }
        let in_url = self.url.contains(VERIFY).then_some(Encryption::VerifyFull);
        let encryption = self.encryption.or(in_url);
        match encryption {
            Some(Encryption::Disable) => config.ssl_mode(SslMode::Disable),
            Some(Encryption::Prefer) => config.ssl_mode(SslMode::Prefer),
            Some(Encryption::Require | Encryption::VerifyFull) => config.ssl_mode(SslMode::Require),
            None => &mut config,
        };
        if config.get_application_name().is_none() {
            config.application_name("lodestore");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.keepalives_idle(config.get_keepalives_idle().min(KEEPALIVE));
        let tls = match (config.get_ssl_mode(), &self.root_certificate) {
            (SslMode::Disable, _) => Tls::Off,
            (_, Some(file)) => {
                config.ssl_mode(SslMode::Require);
                Tls::trusting(file)?
            }
            _ if encryption == Some(Encryption::VerifyFull) => Tls::trusting_the_system()?,
            _ => Tls::unverified()?,
        };
        Ok((config, tls))
    }

    /// Sets what is given beside the connection string.
    fn fill(&self, config: &mut tokio_postgres::Config) {
        if let Some(host) = self.host.as_ref().filter(|_| config.get_hosts().is_empty()) {
            config.host(host);
        }
        if let Some(port) = self.port.filter(|_| config.get_ports().is_empty()) {
            config.port(port);
        }
        if let Some(user) = &self.user {
            config.user(user);
        }
        if let Some(database) = &self.database {
            config.dbname(database);
        }
        if let Some(options) = &self.options {
            config.options(options);
        }
        let is_open = config.get_password().is_none();
        let from_environment = || std::env::var("PGPASSWORD").ok().filter(|_| is_open);
        if let Some(password) = self.password.clone().or_else(from_environment) {
            config.password(password);
        }
    }
}
