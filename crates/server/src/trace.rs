//! Logs, and traces that are sent to a collector by OTLP.

use std::io::IsTerminal;

use axum::http::{HeaderMap, HeaderValue, Method};
use lodestore::core::{Error, Result};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// The target of the spans that are sent to a collector.
const REQUESTS: &str = "lodestore_server::request";

/// The variables that name a collector where no option does.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// How much is logged. Answered requests are logged from `Debug` on, refused ones from `Info` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Failures of the server.
    Error,
    /// What may become one.
    Warn,
    /// Start, stop and refused requests.
    #[default]
    Info,
    /// Every request.
    Debug,
    /// Whatever the libraries tell.
    Trace,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// What is logged, and where traces go.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The form of a line.
    pub format: LogFormat,
    /// How much.
    pub level: LogLevel,
    /// The collector of traces, as in `http://127.0.0.1:4317`; the environment's where it is left out.
    pub otlp_endpoint: Option<String>,
}

/// Sends what is left of the traces when it is dropped.
#[derive(Debug)]
pub struct Logging {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take()
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Begins to log, on stderr, and to send traces where a collector is named. Call it once, on a thread of the runtime.
///
/// # Errors
/// `Invalid` for a collector that is no URL; `Internal` if the process logs already.
pub fn start_logging(options: &LogOptions) -> Result<Logging> {
    // Our requests have a line of their own; libraries are heard from `Trace` on, or when something is wrong.
    let libraries = if options.level == LogLevel::Trace { LevelFilter::TRACE } else { LevelFilter::WARN };
    let filter = Targets::new()
        .with_default(libraries.min(options.level.filter()))
        .with_target("lodestore", options.level.filter())
        .with_target("lodestore_server", options.level.filter())
        .with_target("lodestore_cli", options.level.filter())
        .with_target(REQUESTS, LevelFilter::OFF);
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match options.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let named = options.otlp_endpoint.clone();
    let endpoint =
        named.or_else(|| ENDPOINTS.iter().find_map(|name| std::env::var(name).ok())).filter(|e| !e.is_empty());
    let traces = endpoint.map(|endpoint| provider(&endpoint)).transpose()?;
    let spans = traces.as_ref().map(|traces| {
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer("lodestore"));
        layer.with_filter(Targets::new().with_target(REQUESTS, Level::DEBUG))
    });
    let registry = tracing_subscriber::registry().with(lines).with(spans);
    registry.try_init().map_err(|e| Error::internal("the process logs already").with_source(e))?;
    Ok(Logging { traces })
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter =
        exporter.map_err(|e| Error::invalid(format!("traces can't be sent to {endpoint:?}: {e}")).with_source(e))?;
    let resource = Resource::builder().with_service_name("lodestore").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Returns the span of a request, a child of the one that the client names. It costs next to nothing where no collector
/// is.
pub(crate) fn request_span(method: &Method, route: &'static str, id: &HeaderValue, headers: &HeaderMap) -> Span {
    let span = tracing::debug_span!(
        target: "lodestore_server::request",
        "request",
        otel.name = route,
        otel.kind = "server",
        http.request.method = method.as_str(),
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = id.to_str().unwrap_or_default(),
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        // Without a valid parent, the span begins a trace.
        let _ = span.set_parent(parent);
    }
    span
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
