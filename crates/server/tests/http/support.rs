//! A repository, a store and a server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lodestore::core::document::Document;
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use lodestore::{FeatureStore, OpenOptions, PlanOptions};
use lodestore_server::{AppState, Authorizer, Limits, NoAuth, Server, ServerOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Answer, send};
use crate::definitions::{DEFINITIONS, NOW, STATS};

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<AppState>,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
    folder: Option<TempDir>,
}

pub(crate) fn moment(text: &str) -> EventTime {
    EventTime::parse(text).unwrap()
}

/// Opens the store of a folder, at a time that stands still.
pub(crate) fn open(folder: &Path) -> Arc<FeatureStore> {
    Arc::new(FeatureStore::open(&OpenOptions { now: Some(moment(NOW)), ..OpenOptions::in_folder(folder) }).unwrap())
}

/// Makes a folder with settings and files.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("feature_store.yaml"), "project: served").unwrap();
    std::fs::write(folder.path().join("stats.csv"), STATS).unwrap();
    folder
}

pub(crate) async fn apply(store: &FeatureStore, definitions: &str) {
    let wanted = Document::parse_yaml(definitions, "test").unwrap().into_definitions().unwrap();
    let change = store.plan(wanted, PlanOptions::default()).await.unwrap();
    store.apply(&change.plan).await.unwrap();
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Options of a server at any free port.
pub(crate) fn options(limits: Limits) -> ServerOptions {
    ServerOptions { port: 0, drain: Duration::from_secs(10), limits, ..ServerOptions::default() }
}

impl Running {
    /// Starts a server over a repository whose definitions are applied.
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with(limits, Arc::new(NoAuth))
    }

    pub(crate) fn with(limits: Limits, authorizer: Arc<dyn Authorizer>) -> Self {
        let (runtime, folder) = (runtime(), folder());
        let store = open(folder.path());
        runtime.block_on(apply(&store, DEFINITIONS));
        Self { folder: Some(folder), ..Self::over(runtime, store, &options(limits), authorizer) }
    }

    /// Starts a server over a store.
    pub(crate) fn over(
        runtime: Runtime,
        store: Arc<FeatureStore>,
        options: &ServerOptions,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        let server = runtime.block_on(Server::bind(store, options, authorizer)).unwrap();
        let (address, state) = (server.address(), Arc::clone(server.state()));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, state, runtime, stop, task, folder: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.address, "GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string())
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> Answer {
        send(self.address, "POST", path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Pushes rows; they must be taken.
    #[track_caller]
    pub(crate) fn push(&self, source: &str, df: &Value) {
        let answer = self.post("/push", &json!({"push_source_name": source, "df": df, "to": "online"})).ok();
        assert_eq!(answer.text(), "");
    }

    /// Writes rows to a view; they must be taken.
    #[track_caller]
    pub(crate) fn write(&self, view: &str, df: &Value) {
        let answer = self.post("/write-to-online-store", &json!({"feature_view_name": view, "df": df})).ok();
        assert_eq!(answer.text(), "null");
    }

    pub(crate) fn online(&self, features: &[&str], entities: &Value) -> Answer {
        self.post("/get-online-features", &json!({"features": features, "entities": entities}))
    }

    /// Tells the server to stop; returns how it ended.
    pub(crate) fn begin_to_stop(self) -> Stopping {
        self.stop.send(()).unwrap();
        Stopping { runtime: self.runtime, task: self.task, _folder: self.folder }
    }
}

/// A server that was told to stop.
pub(crate) struct Stopping {
    runtime: Runtime,
    task: JoinHandle<Result<()>>,
    _folder: Option<TempDir>,
}

impl Stopping {
    pub(crate) fn end(self) -> Result<()> {
        let end = async { tokio::time::timeout(Duration::from_secs(20), self.task).await };
        self.runtime.block_on(end).map_err(|_| Error::internal("the server did not stop"))?.unwrap()
    }
}
