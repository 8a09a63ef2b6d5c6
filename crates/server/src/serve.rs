//! The server: it listens, serves connections, and drains when it is told to stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use lodestore::FeatureStore;
use lodestore::core::time::Stopwatch;
use lodestore::core::{Error, Result};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::auth::Authorizer;
use crate::limits::Limits;
use crate::state::AppState;
use crate::stream::Impatient;
use crate::{grpc, routes};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// How long to wait when the system has no room for another connection.
const FULL: Duration = Duration::from_millis(50);

/// How long nothing more is said about connections that are not accepted.
const QUIET: Duration = Duration::from_secs(10);

/// Calls of one gRPC connection at the same time.
const STREAMS: u32 = 256;

/// Where a server listens, and when it gives up.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The address of HTTP and gRPC.
    pub host: String,
    /// The port of HTTP; 0 for any that is free.
    pub port: u16,
    /// The port of gRPC; without it there is none.
    pub grpc_port: Option<u16>,
    /// Whether others than this machine may be served without a key.
    pub unauthenticated: Unauthenticated,
    /// How long requests may take to end when the server stops.
    pub drain: Duration,
    /// What requests may take.
    pub limits: Limits,
}

/// Who is served without a key, where no keys are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unauthenticated {
    /// This machine.
    #[default]
    Loopback,
    /// Whoever reaches the address.
    Anybody,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 6566,
            grpc_port: None,
            unauthenticated: Unauthenticated::Loopback,
            drain: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    http: (TcpListener, SocketAddr),
    grpc: Option<(TcpListener, SocketAddr)>,
    state: Arc<AppState>,
    drain: Duration,
}

impl Server {
    /// Listens. Connections wait until [`Server::run`].
    ///
    /// # Errors
    /// `Invalid` for an address that others than this machine reach, where nobody is asked for a key;
    /// `Unavailable` for one that is taken or is not there.
    pub async fn bind(
        store: Arc<FeatureStore>,
        options: &ServerOptions,
        authorizer: Arc<dyn Authorizer>,
    ) -> Result<Self> {
        let is_open = authorizer.is_open() && options.unauthenticated == Unauthenticated::Loopback;
        let http = listen(&options.host, options.port, is_open).await?;
        let grpc = match options.grpc_port {
            Some(port) => Some(listen(&options.host, port, is_open).await?),
            None => None,
        };
        let state = Arc::new(AppState::new(store, options.limits.clone(), authorizer));
        Ok(Self { http, grpc, state, drain: options.drain })
    }

    /// Returns the address of HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http.1
    }

    /// Returns the address of gRPC.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(|(_, address)| *address)
    }

    /// Returns what all requests share.
    #[must_use]
    pub fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    /// Answers requests until `stop` is done; then accepts no more, and lets those that have begun end.
    ///
    /// # Errors
    /// `Unavailable` if requests did not end in time.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { http, grpc, state, drain } = self;
        let (stopping, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(state.limits.connections));
        let mut accepting = vec![tokio::spawn(accept(
            http.0,
            Protocol::Http.builder(&state.limits),
            routes::http(&state),
            Arc::clone(&connections),
            state.limits.clone(),
            stopped.clone(),
        ))];
        if let Some((listener, _)) = grpc {
            accepting.push(tokio::spawn(accept(
                listener,
                Protocol::Grpc.builder(&state.limits),
                grpc::routes(&state).prepare().into_axum_router(),
                connections,
                state.limits.clone(),
                stopped.clone(),
            )));
        }
        drop(stopped);
        stop.await;
        tracing::info!(in_flight = state.in_flight(), "stopping: no more connections, requests end");
        state.drain();
        let _ = stopping.send(true);
        for task in accepting {
            // Its listener is closed when it ends.
            let _ = task.await;
        }
        // Each connection holds a receiver.
        match timeout(drain, stopping.closed()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::unavailable(format!(
                "{} requests did not end within {} s and were cut off",
                state.in_flight(),
                drain.as_secs_f64()
            ))),
        }
    }
}

/// Returns when the process is told to stop: by SIGTERM, or by SIGINT, which Ctrl-C sends.
///
/// # Errors
/// `Unavailable` if the system has no room for handlers.
pub fn told_to_stop() -> Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|e| Error::io("listening for signals", e));
        let (mut terminated, mut interrupted) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

async fn listen(host: &str, port: u16, only_loopback: bool) -> Result<(TcpListener, SocketAddr)> {
    let failed = |e| Error::io(format!("listening at {host}:{port}"), e);
    let found = lookup_host((host, port)).await.map_err(failed)?.next();
    let address = found.ok_or_else(|| Error::invalid(format!("{host:?} is no address")))?;
    if only_loopback && !address.ip().is_loopback() {
        return Err(Error::invalid(format!(
            "{address} can be reached from other machines, and nobody is asked for a key; set auth in \
             feature_store.yaml, or start with --allow-unauthenticated"
        )));
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed)?;
    #[cfg(unix)]
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    fn builder(self, limits: &Limits) -> auto::Builder<TokioExecutor> {
        let builder = auto::Builder::new(TokioExecutor::new());
        match self {
            Self::Http => {
                let mut builder = builder.http1_only();
                // The time runs from the end of the request before: it bounds idle connections as well as slow heads.
                builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle_time).pipeline_flush(true);
                builder
            }
            Self::Grpc => {
                let mut builder = builder.http2_only();
                builder
                    .http2()
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(STREAMS)
                    .keep_alive_interval(limits.idle_time)
                    .keep_alive_timeout(limits.transfer_time);
                builder
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    places: Arc<Semaphore>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let builder = Arc::new(builder);
    let mut warned: Option<Stopwatch> = None;
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stopped.changed() => return,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Of the connection, or of a system that is full: others may do.
                    if warned.as_ref().is_none_or(|warned| warned.elapsed() > QUIET) {
                        tracing::warn!(%error, "a connection was not accepted");
                        warned = Some(Stopwatch::start());
                    }
                    sleep(FULL).await;
                    continue;
                }
            },
            _ = stopped.changed() => return,
        };
        let (builder, service) = (Arc::clone(&builder), TowerToHyperService::new(router.clone()));
        let (limits, stopped) = (limits.clone(), stopped.clone());
        tokio::spawn(async move {
            let _place = place;
            connection(stream, &builder, service, &limits, stopped).await;
        });
    }
}

/// Serves a connection until its client or the server ends it.
async fn connection(
    stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    service: TowerToHyperService<Router>,
    limits: &Limits,
    mut stopped: watch::Receiver<bool>,
) {
    // A connection that sends nothing has no buffers yet.
    let mut first = [0];
    let begun = tokio::select! {
        begun = timeout(limits.idle_time, stream.peek(&mut first)) => begun,
        _ = stopped.changed() => return,
    };
    if !matches!(begun, Ok(Ok(1))) || stream.set_nodelay(true).is_err() {
        return;
    }
    // In a box of its own: the task of a connection that has not begun stays small.
    Box::pin(answer(TokioIo::new(Impatient::new(stream, limits.transfer_time)), builder, service, stopped)).await;
}

async fn answer(
    stream: TokioIo<Impatient<TcpStream>>,
    builder: &auto::Builder<TokioExecutor>,
    service: TowerToHyperService<Router>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut serving = pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
