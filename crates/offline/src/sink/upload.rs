//! One object that is uploaded as its bytes come, in parts where they are many. It is there when it is
//! completed, and no sooner.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::writing_to_store;

/// How many parts S3 takes for an object.
const MOST_PARTS: u64 = 10_000;

/// How long the end of a write that failed waits for the store to forget its parts.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the uploads of one write share.
#[derive(Clone)]
pub(super) struct Uploads {
    pub(super) store: Arc<dyn ObjectStore>,
    /// How many bytes a part has.
    pub(super) part_bytes: usize,
    /// One for each part on its way.
    pub(super) slots: Arc<Semaphore>,
    pub(super) aborts: Aborts,
}

/// An object that is being uploaded. Dropped before its end, it will not be there.
pub(super) struct Upload {
    shared: Uploads,
    location: Path,
    /// The object, for errors.
    what: String,
    /// Bytes that are not on their way; fewer than a part has.
    buffer: BytesMut,
    parts: Option<Box<dyn MultipartUpload>>,
    count: u64,
    sent: JoinSet<object_store::Result<()>>,
}

impl Upload {
    pub(super) fn new(shared: Uploads, location: Path, what: String) -> Self {
        Self { shared, location, what, buffer: BytesMut::new(), parts: None, count: 0, sent: JoinSet::new() }
    }

    /// Returns the object's URL in quotes, for errors.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Returns how many bytes are held here.
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Adds bytes.
    pub(super) async fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.shared.part_bytes - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == self.shared.part_bytes {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Sends all bytes, so that none is held here until the object is completed.
    pub(super) async fn seal(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        self.arrived().await
    }

    /// Completes the object.
    pub(super) async fn complete(&mut self) -> Result<Path> {
        if self.parts.is_none() {
            let bytes = std::mem::take(&mut self.buffer).freeze();
            let put = self.shared.store.put(&self.location, bytes.into()).await;
            put.map_err(|e| writing_to_store(&self.what, e))?;
            return Ok(self.location.clone());
        }
        self.seal().await?;
        if let Some(parts) = &mut self.parts {
            parts.complete().await.map_err(|e| writing_to_store(&self.what, e))?;
        }
        self.parts = None;
        Ok(self.location.clone())
    }

    async fn send(&mut self) -> Result<()> {
        while let Some(sent) = self.sent.try_join_next() {
            self.check(sent)?;
        }
        let slot = Arc::clone(&self.shared.slots).acquire_owned().await;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let begun = self.shared.store.put_multipart(&self.location).await;
                self.parts.insert(begun.map_err(|e| writing_to_store(&self.what, e))?)
            }
        };
        self.count += 1;
        if self.count > MOST_PARTS {
            let most = MOST_PARTS * self.shared.part_bytes as u64 / (1 << 30);
            return Err(Error::invalid(format!(
                "{} would be larger than {most} GiB, which no object can be here; write to a folder with max_rows_per_file",
                self.what
            )));
        }
        let bytes: Bytes = self.buffer.split().freeze();
        let part = parts.put_part(bytes.into());
        self.sent.spawn(async move {
            let sent = part.await;
            drop(slot);
            sent
        });
        Ok(())
    }

    async fn arrived(&mut self) -> Result<()> {
        while let Some(sent) = self.sent.join_next().await {
            self.check(sent)?;
        }
        Ok(())
    }

    fn check(&self, sent: Result<object_store::Result<()>, tokio::task::JoinError>) -> Result<()> {
        let sent =
            sent.map_err(|e| Error::internal(format!("the upload of a part of {} ended early: {e}", self.what)))?;
        sent.map_err(|e| writing_to_store(&self.what, e))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.sent.abort_all();
        if let Some(mut parts) = self.parts.take() {
            self.shared.aborts.spawn(async move {
                // A store that can't be reached keeps the parts until its own rules remove them.
                drop(parts.abort().await);
            });
        }
    }
}

/// Work that undoes a write that did not come to its end.
#[derive(Clone)]
pub(super) struct Aborts {
    runtime: Handle,
    running: mpsc::Sender<()>,
}

impl Aborts {
    /// Returns the work, and what waits for it when it is dropped, last of all.
    pub(super) fn new() -> (Self, Patience) {
        let (running, all) = mpsc::channel();
        let runtime = Handle::current();
        let can_wait = runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
        (Self { runtime, running }, Patience(can_wait.then_some(all)))
    }

    /// Begins work. It does not depend on the thread that this is called on, which may wait for it.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (runtime, running) = (self.runtime.clone(), self.running.clone());
        self.runtime.spawn_blocking(move || {
            // The end of a runtime waits for this.
            let _ = runtime.block_on(async { timeout(PATIENCE, work).await });
            drop(running);
        });
    }
}

/// Waits a little for work that undoes, since the process may be about to end.
pub(super) struct Patience(Option<mpsc::Receiver<()>>);

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(all) = &self.0 {
            // Ends when every sender is gone.
            let _ = all.recv_timeout(PATIENCE);
        }
    }
}
