//! Files of the file system that are not there before all of them are complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lodestore_core::{Error, ErrorKind, Result};

/// A hidden file or folder beside the target, or in it. Dropped before its end, it is gone.
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    form: Form,
}

/// What the target is, and so what happens at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A file, which the finished one replaces.
    File,
    /// A folder that is not there: the finished one becomes it.
    NewFolder,
    /// An empty folder, which may be the root of a file system: what was finished moves into it.
    EmptyFolder,
}

impl Staging {
    /// Makes room for a file.
    ///
    /// # Errors
    /// `Invalid` for a path that is a folder; what the file system says.
    pub(super) fn for_file(target: &Path) -> Result<Self> {
        if target.is_dir() {
            return Err(Error::invalid(format!(
                "'{0}' is a folder; write to a file in it, or to '{0}/'",
                target.display()
            )));
        }
        Self::new(target, Form::File)
    }

    /// Makes room for the files of a folder.
    ///
    /// # Errors
    /// `AlreadyExists` for a folder that is not empty, `Invalid` for a path that is a file; what the file
    /// system says.
    pub(super) fn for_folder(target: &Path) -> Result<Self> {
        match fs::read_dir(target) {
            Ok(mut entries) => match entries.next() {
                None => Self::new(target, Form::EmptyFolder),
                Some(entry) => {
                    let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
                    Err(not_empty(&target.display().to_string(), &name.to_string_lossy()))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::new(target, Form::NewFolder),
            Err(error) => Err(Error::io(writing(target), error)),
        }
    }

    fn new(target: &Path, form: Form) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{name}.{}-{count}.unfinished", std::process::id());
        let path = match form {
            Form::EmptyFolder => target.join(name),
            Form::File | Form::NewFolder => target.with_file_name(name),
        };
        let folder = if form == Form::File { path.parent().unwrap_or(Path::new("/")) } else { &path };
        fs::create_dir_all(folder).map_err(|e| Error::io(writing(target), e))?;
        Ok(Self { path, target: target.to_owned(), form })
    }

    /// Begins a file, by its path in the folder; of a target that is a file there is one, without a path.
    pub(super) fn create(&self, below: &str) -> Result<File> {
        let path = if below.is_empty() { self.path.clone() } else { self.path.join(below) };
        let create = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(&path)
        };
        create().map_err(|e| Error::io(self.writing(below), e))
    }

    /// Returns where a file will be.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        if below.is_empty() { self.target.clone() } else { self.target.join(below) }
    }

    /// Returns what is being done, for errors.
    pub(super) fn writing(&self, below: &str) -> String {
        writing(&self.path(below))
    }

    /// Puts the files in their places.
    pub(super) fn finish(&self) -> Result<()> {
        let moved = match self.form {
            Form::File => fs::rename(&self.path, &self.target),
            Form::NewFolder => fs::rename(&self.path, &self.target).map_err(|error| match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => io::ErrorKind::AlreadyExists.into(),
                _ => error,
            }),
            Form::EmptyFolder => self.fill(),
        };
        moved.map_err(|e| Error::io(writing(&self.target), e))
    }

    fn fill(&self) -> io::Result<()> {
        let mut moved = Vec::new();
        let fill = |moved: &mut Vec<PathBuf>| {
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let place = self.target.join(entry.file_name());
                if place.exists() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::rename(entry.path(), &place)?;
                moved.push(place);
            }
            Ok(())
        };
        let filled = fill(&mut moved);
        if filled.is_err() {
            moved.iter().for_each(|path| remove(path));
        }
        filled
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a rename there is nothing of this name left to remove.
        remove(&self.path);
    }
}

/// Returns the error for a folder that is written to although it has files.
pub(super) fn not_empty(folder: &str, first: &str) -> Error {
    let message = format!("the folder '{folder}' is not empty, '{first}' is in it; write to a new folder");
    Error::new(ErrorKind::AlreadyExists, message)
}

fn remove(path: &Path) {
    // What can't be removed is hidden, and is left.
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn writing(path: &Path) -> String {
    format!("writing '{}'", path.display())
}
