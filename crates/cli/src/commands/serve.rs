//! `lodestore serve`

use std::sync::Arc;
use std::time::Duration;

use lodestore::FeatureServerSettings;
use lodestore::core::{Error, Result};
use lodestore_server::{
    Limits, LogFormat, LogLevel, LogOptions, Server, ServerOptions, Unauthenticated, authorizer, start_logging,
    told_to_stop,
};
use serde_json::json;
use tokio::runtime::Builder;

use crate::args::{self, ServeArgs};
use crate::error::Exit;
use crate::session::Session;

/// File descriptors that connections leave to files.
const FILES: u64 = 512;

pub(super) fn run(session: &Session, args: &ServeArgs) -> Result<Exit> {
    let settings = session.settings()?;
    let mut options = options(args, &settings.feature_server);
    if let Ok(descriptors) = rlimit::increase_nofile_limit(u64::MAX) {
        options.limits.connections = possible(options.limits.connections, descriptors);
    }
    let authorizer = authorizer(&settings.auth)?;
    let store = Arc::new(session.store()?);
    let mut runtime = Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime.enable_all().build().map_err(|e| Error::io("starting threads", e))?;
    let served = runtime.block_on(async {
        let logging = start_logging(&log(args))?;
        let server = Server::bind(Arc::clone(&store), &options, authorizer).await?;
        let stop = told_to_stop()?;
        let (http, grpc) = (format!("http://{}", server.address()), server.grpc_address());
        let and_grpc = grpc.map_or_else(String::new, |grpc| format!(", gRPC at {grpc}"));
        session.printer.answer(
            format!("serving project '{}' at {http}{and_grpc}", store.project()),
            &json!({"project": store.project(), "http": http, "grpc": grpc.map(|grpc| grpc.to_string())}),
        )?;
        if let Err(error) = server.run(stop).await {
            session.printer.warning(error);
        }
        Ok(logging)
    });
    // The last traces are sent while there is still a runtime.
    let ended = served.map(drop);
    // What still runs was told to stop; it is not waited for any longer.
    runtime.shutdown_background();
    ended.map(|()| Exit::Fine)
}

fn options(args: &ServeArgs, settings: &FeatureServerSettings) -> ServerOptions {
    let default = ServerOptions::default();
    let seconds = |arg: Option<u32>, setting: Option<u32>, default: Duration| {
        arg.or(setting).map_or(default, |seconds| Duration::from_secs(seconds.into()))
    };
    let max_body = args.max_body.or(settings.max_body);
    let limits = Limits {
        body_bytes: max_body.map_or(default.limits.body_bytes, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        entities: args.max_entities.or(settings.max_entities).unwrap_or(default.limits.entities),
        in_flight: args.max_in_flight.or(settings.max_in_flight).unwrap_or(default.limits.in_flight),
        connections: args.max_connections.or(settings.max_connections).unwrap_or(default.limits.connections),
        request_time: seconds(args.request_seconds, settings.request_seconds, default.limits.request_time),
        idle_time: seconds(args.idle_seconds, settings.idle_seconds, default.limits.idle_time),
        ..default.limits
    };
    ServerOptions {
        host: args.host.clone().or_else(|| settings.host.clone()).unwrap_or(default.host),
        port: args.port.or(settings.port).unwrap_or(default.port),
        grpc_port: args.grpc_port.or(settings.grpc_port),
        unauthenticated: match args.allow_unauthenticated {
            true => Unauthenticated::Anybody,
            false => Unauthenticated::Loopback,
        },
        drain: seconds(args.drain_seconds, settings.drain_seconds, default.drain),
        limits,
    }
}

/// Returns how many of the wanted connections can be open with so many file descriptors.
fn possible(wanted: usize, descriptors: u64) -> usize {
    let free = descriptors - FILES.min(descriptors / 2);
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX))
}

fn log(args: &ServeArgs) -> LogOptions {
    LogOptions {
        format: match args.log_format {
            args::LogFormat::Text => LogFormat::Text,
            args::LogFormat::Json => LogFormat::Json,
        },
        level: match args.log_level {
            args::LogLevel::Error => LogLevel::Error,
            args::LogLevel::Warn => LogLevel::Warn,
            args::LogLevel::Info => LogLevel::Info,
            args::LogLevel::Debug => LogLevel::Debug,
            args::LogLevel::Trace => LogLevel::Trace,
        },
        otlp_endpoint: args.otlp_endpoint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_files() {
        assert_eq!(possible(100_000, u64::MAX), 100_000);
        assert_eq!(possible(100_000, 20_000), 19_488);
        assert_eq!(possible(100, 20_000), 100);
        assert_eq!(possible(100_000, 256), 128);
    }
}
