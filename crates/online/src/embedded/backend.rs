//! The embedded store as an [`OnlineStore`].

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, RwLock};

use async_trait::async_trait;
use hashbrown::HashMap;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{
    Capability, OnlineColumn, OnlineRows, OnlineStore, OnlineView, ViewKeys, Watermark, WriteReport,
};
use lodestore_core::rows::FeatureRows;
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};

use super::codec::{PreparedView, view_key};
use super::config::EmbeddedConfig;
use super::environment::{Environment, Live};
use super::group::Write;
use super::snapshot::Snapshot;
use super::write::Writer;
use crate::row::FoundRows;

/// An online store in a folder of this machine.
///
/// The methods that end in `_now` are those of [`OnlineStore`] for callers that don't wait: the
/// work is done on the calling thread either way. All stores on one folder in a process share one
/// LMDB environment, which is closed with the last of them. After a fork the child opens its own.
#[derive(Debug)]
pub struct EmbeddedStore {
    config: EmbeddedConfig,
    opened: Opened,
    /// Only ever tried: a forked child may have inherited it locked by a thread that it doesn't have.
    views: RwLock<HashMap<String, Arc<PreparedView>>>,
}

/// The environment of the process that the store was made in, then those of its children by fork,
/// each for the next. It is read without a lock.
#[derive(Debug, Default)]
struct Opened(OnceLock<(Arc<Environment>, Box<Self>)>);

impl Opened {
    #[inline]
    fn live(&self) -> Option<Live<'_>> {
        let (environment, next) = self.0.get()?;
        environment.live().or_else(|| next.live())
    }

    /// Keeps an environment of this process; if another thread was first, theirs is the same.
    fn keep(&self, environment: Arc<Environment>) -> Option<Live<'_>> {
        let (first, next) = self.0.get_or_init(|| (Arc::clone(&environment), Box::default()));
        first.live().or_else(|| next.keep(environment))
    }
}

/// What the environment is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl EmbeddedStore {
    /// Returns the store in a folder. Nothing is created before the first write.
    ///
    /// # Errors
    /// `Invalid` if the path is that of a file, such as another feature store's `online_store.db`,
    /// or the folder has a `data.mdb` that is no LMDB file; `PermissionDenied` or `Unavailable` if
    /// the folder can't be looked at.
    pub fn open(mut config: EmbeddedConfig) -> Result<Self> {
        let shown = config.path.display().to_string();
        let io = |error| Error::io(format!("opening the online store '{shown}'"), error);
        if config.path.as_os_str().is_empty() {
            return Err(Error::invalid("the path of the online store is empty; expected a folder"));
        }
        // The process may change its working directory later.
        config.path = std::path::absolute(&config.path).map_err(io)?;
        match config.path.metadata() {
            Ok(found) if !found.is_dir() => {
                return Err(Error::invalid(format!(
                    "'{shown}' is a file, and the embedded online store keeps its data in a folder; choose another path"
                )));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let store = Self { config, opened: Opened::default(), views: RwLock::default() };
        store.with_environment(Access::Read, |_| Ok(()))?;
        Ok(store)
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        &self.config.path
    }

    /// Returns what reads and writes of a view version need to know of it. Kept for the next call.
    pub(super) fn prepared(&self, view: &OnlineView) -> Result<Arc<PreparedView>> {
        let known = self.views.try_read().ok().and_then(|views| views.get(view.id()).cloned());
        // Another apply may have put another version behind the same id.
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.version, &view.version)) {
            return Ok(known);
        }
        let prepared = Arc::new(PreparedView::new(view)?);
        if let Ok(mut views) = self.views.try_write() {
            views.insert(view.id().to_owned(), Arc::clone(&prepared));
        }
        Ok(prepared)
    }

    /// Runs a function on the store as of the last commit. As long as it runs, pages that writers replace
    /// can't be used again: keep it short.
    ///
    /// # Errors
    /// Those of the function; `Exhausted` if more than `max_readers` reads run; `Unavailable`,
    /// `PermissionDenied` or `Corrupt` if the store can't be opened.
    #[inline]
    pub fn snapshot<R>(&self, run: impl FnOnce(&Snapshot<'_>) -> Result<R>) -> Result<R> {
        self.with_environment(Access::Read, |environment| match environment {
            Some(environment) => environment.read(|txn| run(&Snapshot::new(environment, txn))),
            None => run(&Snapshot::empty()),
        })
    }

    /// As [`OnlineStore::prepare`].
    ///
    /// # Errors
    /// `Corrupt` if a view is stored with other keys or features, and as for any write.
    pub fn prepare_now(&self, views: &[OnlineView]) -> Result<()> {
        let views = views.iter().map(|view| self.prepared(view)).collect::<Result<Vec<_>>>()?;
        let is_done = self.snapshot(|snapshot| {
            views.iter().try_fold(true, |done, view| Ok(snapshot.record(view)?.is_some() && done))
        })?;
        if !is_done {
            self.write_txn(|writer| views.iter().try_for_each(|view| writer.view(view).map(|_| ())))?;
        }
        self.sweep()
    }

    /// As [`OnlineStore::write`].
    ///
    /// # Errors
    /// `Exhausted` if the disk or the map is full; `PermissionDenied` where writing is not allowed;
    /// `Corrupt` if the view is stored with other keys or features. Nothing is written then.
    pub fn write_now(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        if rows.is_empty() && watermark.is_none() {
            return Ok(WriteReport::default());
        }
        let prepared = self.prepared(view)?;
        let write = Write { view: &prepared, rows, now, watermark };
        self.with_writable(|environment| environment.group().write(environment, write))
            .map_err(|error| error.with_context("view", view))
    }

    /// As [`OnlineStore::find`]: all views as of the same commit.
    ///
    /// # Errors
    /// `Corrupt` if a stored row is damaged or a view is stored with other keys or features;
    /// `Exhausted` if more than `max_readers` reads run; `Unavailable`, `PermissionDenied` or `Corrupt` if
    /// the store can't be opened.
    pub fn find_now(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<FoundRows> {
        let mut found = FoundRows::new(as_of, asked.len(), asked.iter().map(|asked| asked.keys.len()).sum());
        self.snapshot(|snapshot| {
            asked.iter().try_for_each(|ViewKeys { view, keys }| {
                let view = self.prepared(view)?;
                snapshot.find(&view, keys, &mut found)
            })
        })?;
        Ok(found)
    }

    /// As [`OnlineStore::read`].
    ///
    /// # Errors
    /// As [`EmbeddedStore::find_now`].
    pub fn read_now(
        &self,
        view: &OnlineView,
        keys: &EntityKeys,
        features: &[usize],
        as_of: EventTime,
    ) -> Result<Vec<OnlineColumn>> {
        view.columns(&self.find_now(&[ViewKeys { view, keys }], as_of)?, keys.len(), features)
    }

    /// As [`OnlineStore::delete`].
    ///
    /// # Errors
    /// As [`EmbeddedStore::write_now`].
    pub fn delete_now(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        let prepared = self.prepared(view)?;
        self.write_txn(|writer| writer.delete(&prepared, keys, at)).map_err(|error| error.with_context("view", view))
    }

    /// As [`OnlineStore::collect`]. Entries are looked at a part at a time, so that other writers get their turn.
    ///
    /// # Errors
    /// As [`EmbeddedStore::write_now`].
    pub fn collect_now(&self, view: &OnlineView, now: EventTime) -> Result<u64> {
        let prepared = self.prepared(view)?;
        let Some(plan) = &prepared.windows else { return Ok(0) };
        let (mut removed, mut from) = (0, Some(Vec::new()));
        while let Some(after) = from {
            let part = self.snapshot(|snapshot| snapshot.expired(&prepared, plan, &after, now))?;
            if !part.expired.is_empty() {
                removed += self.write_txn(|writer| writer.collect(plan, &part.expired, now))?;
            }
            from = part.last;
        }
        Ok(removed)
    }

    /// As [`OnlineStore::watermark`].
    ///
    /// # Errors
    /// As [`EmbeddedStore::find_now`].
    pub fn watermark_now(&self, view: &OnlineView) -> Result<Watermark> {
        let prepared = self.prepared(view)?;
        let record = self.snapshot(|snapshot| snapshot.record(&prepared))?;
        Ok(record.map_or_else(Watermark::default, |record| record.watermark))
    }

    /// As [`OnlineStore::retire`]. The views are empty at once; their rows are removed a part at a
    /// time before the call returns.
    ///
    /// # Errors
    /// As [`EmbeddedStore::write_now`].
    pub fn retire_now(&self, views: &[OnlineView]) -> Result<()> {
        if !Environment::exists(&self.config.path)? {
            return Ok(());
        }
        self.write_txn(|writer| {
            views.iter().try_for_each(|view| writer.retire(&view_key(view.id())))?;
            writer.sweep()
        })?;
        self.sweep()
    }

    fn sweep(&self) -> Result<()> {
        while self.snapshot(|snapshot| snapshot.has_retired_rows())? {
            self.write_txn(|writer| writer.sweep())?;
        }
        Ok(())
    }

    pub(super) fn write_txn<R>(&self, run: impl FnOnce(&mut Writer<'_, '_>) -> Result<R>) -> Result<R> {
        self.with_writable(|environment| environment.write(|txn| run(&mut Writer::new(environment, txn))))
    }

    fn with_writable<R>(&self, run: impl FnOnce(Live<'_>) -> Result<R>) -> Result<R> {
        self.with_environment(Access::Write, |environment| {
            run(environment.ok_or_else(|| Error::internal("a folder was opened and is not there"))?)
        })
    }

    /// Runs a function on the environment; for reading, on none where nothing was ever written.
    #[inline]
    fn with_environment<R>(&self, access: Access, run: impl FnOnce(Option<Live<'_>>) -> Result<R>) -> Result<R> {
        match self.opened.live() {
            Some(live) => run(Some(live)),
            None => run(self.open_environment(access)?),
        }
    }

    #[cold]
    fn open_environment(&self, access: Access) -> Result<Option<Live<'_>>> {
        let path = &self.config.path;
        if access == Access::Read && !Environment::exists(path)? {
            return Ok(None);
        }
        if access == Access::Write {
            std::fs::create_dir_all(path)
                .map_err(|e| Error::io(format!("creating the online store's folder '{}'", path.display()), e))?;
        }
        Ok(self.opened.keep(Environment::open(&self.config)?))
    }
}

#[async_trait]
impl OnlineStore for EmbeddedStore {
    fn capability(&self) -> Capability {
        Capability { durable: true, shared_between_processes: true, partial_rows: true }
    }

    async fn prepare(&self, views: &[OnlineView]) -> Result<()> {
        self.prepare_now(views)
    }

    async fn write(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        self.write_now(view, rows, now, watermark)
    }

    async fn find(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<Box<dyn OnlineRows>> {
        Ok(Box::new(self.find_now(asked, as_of)?))
    }

    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        self.delete_now(view, keys, at)
    }

    async fn watermark(&self, view: &OnlineView) -> Result<Watermark> {
        self.watermark_now(view)
    }

    async fn collect(&self, view: &OnlineView, now: EventTime) -> Result<u64> {
        self.collect_now(view, now)
    }

    async fn retire(&self, views: &[OnlineView]) -> Result<()> {
        self.retire_now(views)
    }
}
