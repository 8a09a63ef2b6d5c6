//! The one LMDB environment that a process has for a folder.
#![allow(unsafe_code, reason = "LMDB maps its file; the invariant is at `Environment`")]

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};
use lodestore_core::{Error, ErrorKind, Result};

use super::config::EmbeddedConfig;
use super::error::lmdb_error;
use super::group::Group;

/// All keys and values of a folder.
pub(super) type Tree = Database<'static, Bytes, Bytes>;

type Env = heed::Env<WithoutTls>;

/// An open LMDB environment.
///
/// # Invariant
/// `env` is used only by the process that opened it, and only while `is_closed` is false:
/// - The file is mapped. It is opened once in a process, which [`ENVIRONMENTS`] and heed see to, and
///   it is changed only through LMDB, which the documentation of the folder asks for.
/// - A forked child must not use its parent's environment. Every use goes through [`live`](Self::live),
///   which a child is refused; a child that needs one closes the inherited one and opens its own. It
///   may do so although threads of the parent were using it: they don't exist in the child.
pub(super) struct Environment {
    folder: PathBuf,
    /// What [`FORKS`] was when it was opened.
    opened_at: u32,
    is_closed: AtomicBool,
    env: ManuallyDrop<Env>,
    tree: Tree,
    file: FileId,
    group: Group,
}

static ENVIRONMENTS: Mutex<BTreeMap<PathBuf, Weak<Environment>>> = Mutex::new(BTreeMap::new());

/// How many forks lie between this process and the first. Asking the system for the process's number
/// instead takes as long as a fifth of a read.
static FORKS: AtomicU32 = AtomicU32::new(0);

const DATA_FILE: &str = "data.mdb";

impl Environment {
    /// Returns whether anything was ever written into a folder.
    pub(super) fn exists(path: &Path) -> Result<bool> {
        match path.join(DATA_FILE).metadata() {
            Ok(file) => Ok(file.len() > 0),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(format!("opening the online store '{}'", path.display()), error)),
        }
    }

    /// Returns the environment of a folder that exists.
    pub(super) fn open(config: &EmbeddedConfig) -> Result<Arc<Self>> {
        let io = |e| Error::io(format!("opening the online store '{}'", config.path.display()), e);
        let folder = config.path.canonicalize().map_err(io)?;
        watch_forks()?;
        let mut environments = ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner);
        environments.retain(|_, known| known.strong_count() > 0);
        match environments.get(&folder).and_then(Weak::upgrade) {
            Some(known) if known.live().is_some() => {
                known.check_in_place()?;
                return Ok(known);
            }
            Some(inherited) => inherited.close(),
            None => {}
        }
        check_data_file(&folder)?;
        let environment = Arc::new(Self::open_new(config, &folder)?);
        environments.insert(folder, Arc::downgrade(&environment));
        Ok(environment)
    }

    fn open_new(config: &EmbeddedConfig, folder: &Path) -> Result<Self> {
        let failed = |error| lmdb_error(folder, "opening", error);
        let env = match open_lmdb(config, folder, EnvFlags::empty()) {
            // Where writing is not allowed, reading may be.
            Err(heed::Error::Io(error)) if is_denied(&error) => {
                open_lmdb(config, folder, EnvFlags::READ_ONLY).map_err(|_| failed(heed::Error::Io(error)))?
            }
            other => other.map_err(failed)?,
        };
        env.clear_stale_readers().map_err(failed)?;
        let open = |txn| {
            env.open_databases_and_commit(txn, |opener, txn| {
                opener.open_database::<Bytes, Bytes>(txn, None).map(CommitOrAbort::<_, ()>::Commit)
            })
        };
        let tree = match env.read_txn().and_then(open).map_err(failed)? {
            CommitOrAbort::Commit(Some(tree)) => tree,
            _ => return Err(Error::internal("an LMDB environment has no unnamed database")),
        };
        let file = env.try_clone_inner_file().and_then(|file| Ok(FileId::of(&file.metadata()?))).map_err(failed)?;
        let opened_at = FORKS.load(Ordering::Relaxed);
        let (folder, is_closed) = (folder.to_owned(), AtomicBool::new(false));
        Ok(Self { folder, opened_at, is_closed, env: ManuallyDrop::new(env), tree, file, group: Group::default() })
    }

    /// Returns the environment for use, `None` in a process that inherited it by a fork.
    #[inline]
    pub(super) fn live(&self) -> Option<Live<'_>> {
        (self.opened_at == FORKS.load(Ordering::Relaxed)).then_some(Live(self))
    }

    /// Checks that the folder still has the file that is open: what is written to a file that was
    /// removed is lost.
    fn check_in_place(&self) -> Result<()> {
        match self.folder.join(DATA_FILE).metadata() {
            Ok(found) if FileId::of(&found) == self.file => Ok(()),
            _ => Err(Error::unavailable(format!(
                "the folder of the online store '{}' was removed or replaced while it was open; \
                 close all stores on it and open them again",
                self.folder.display()
            ))),
        }
    }

    /// Closes it for good. Not to be called by the process that uses it.
    fn close(&self) {
        if !self.is_closed.swap(true, Ordering::AcqRel) {
            // SAFETY: the flag was false, so this is the only time the handle is moved out; nobody
            // uses it afterwards, since it is not ours or it is being dropped.
            drop(unsafe { std::ptr::read(&*self.env) });
        }
    }
}

/// What tells a file from all others, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(file.dev(), file.ino())
    }

    /// Elsewhere, a file that is open can't be removed.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self(0, 0)
    }
}

/// An environment of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live<'a>(&'a Environment);

impl<'a> Live<'a> {
    pub(super) fn tree(self) -> Tree {
        self.0.tree
    }

    /// Returns the writes that wait for each other.
    pub(super) fn group(self) -> &'a Group {
        &self.0.group
    }

    /// Runs a function in a read transaction: it sees one commit, whatever is written meanwhile.
    #[inline]
    pub(super) fn read<R>(self, run: impl FnOnce(&RoTxn<'_, WithoutTls>) -> Result<R>) -> Result<R> {
        let env = &self.0.env;
        let txn = match env.read_txn() {
            // Processes that were killed while reading may hold the slots.
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => env.clear_stale_readers().and_then(|_| env.read_txn()),
            other => other,
        };
        run(&txn.map_err(|error| self.error("reading", error))?)
    }

    /// Runs a function in a write transaction and commits; an error undoes all of it.
    pub(super) fn write<R>(self, run: impl FnOnce(&mut RwTxn<'_>) -> Result<R>) -> Result<R> {
        let failed = |error| self.error("writing", error);
        self.0.check_in_place()?;
        // A process that was killed while reading would keep the pages it saw from being used again.
        self.0.env.clear_stale_readers().map_err(failed)?;
        let mut txn = self.0.env.write_txn().map_err(failed)?;
        let result = run(&mut txn)?;
        txn.commit().map_err(failed)?;
        Ok(result)
    }

    #[cold]
    pub(super) fn error(self, doing: &str, error: heed::Error) -> Error {
        lmdb_error(&self.0.folder, doing, error)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Has every child of this process by `fork` know that it is one.
fn watch_forks() -> Result<()> {
    #[cfg(unix)]
    {
        extern "C" fn count() {
            FORKS.fetch_add(1, Ordering::Relaxed);
        }
        static WATCHED: OnceLock<i32> = OnceLock::new();
        // SAFETY: the function only adds to an atomic, which a forked child may do.
        let code = *WATCHED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count)) });
        if code != 0 {
            let error = std::io::Error::from_raw_os_error(code);
            return Err(Error::io("preparing the online store for forks", error));
        }
    }
    Ok(())
}

fn open_lmdb(config: &EmbeddedConfig, folder: &Path, flags: EnvFlags) -> heed::Result<Env> {
    // LMDB wants whole pages; no system has larger ones than this.
    const PAGE: usize = 1 << 16;
    let map_size = usize::try_from(config.map_size_bytes).unwrap_or(usize::MAX - PAGE).next_multiple_of(PAGE);
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_size).max_readers(config.max_readers);
    // SAFETY: READ_ONLY, the only flag in use, asks for less than no flag.
    unsafe { options.flags(flags) };
    let open = || {
        // SAFETY: see the invariant of `Environment`.
        unsafe { options.open(folder) }
    };
    // Another thread may be about to close the environment that this one no longer found.
    for _ in 0..100 {
        match open() {
            Err(heed::Error::EnvAlreadyOpened) => {
                if let Some(closing) = heed::env_closing_event(folder) {
                    closing.wait_timeout(Duration::from_millis(10));
                }
            }
            other => return other,
        }
    }
    open()
}

/// Refuses a file that LMDB did not write, before LMDB touches the folder.
fn check_data_file(folder: &Path) -> Result<()> {
    /// What LMDB writes after the header of its first page.
    const MAGIC: [u8; 4] = 0xBEEF_C0DE_u32.to_ne_bytes();
    let path = folder.join(DATA_FILE);
    let mut head = Vec::new();
    match File::open(&path).and_then(|file| file.take(20).read_to_end(&mut head)) {
        Ok(0) => Ok(()),
        Ok(_) if head.get(16..20) == Some(&MAGIC) => Ok(()),
        Ok(_) => Err(Error::invalid(format!(
            "'{}' is no LMDB file; choose another folder for the online store",
            path.display()
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("opening '{}'", path.display()), error)),
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    matches!(Error::io("", std::io::Error::from(error.kind())).kind(), ErrorKind::PermissionDenied)
}
