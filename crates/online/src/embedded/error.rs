//! What LMDB's errors mean to a caller.

use std::fmt;
use std::path::Path;

use heed::MdbError;
use lodestore_core::{Error, ErrorKind};

/// Returns an error about the store in a folder, its kind chosen from LMDB's.
#[cold]
pub(super) fn lmdb_error(folder: &Path, doing: &str, error: heed::Error) -> Error {
    let say = |kind: ErrorKind, what: &dyn fmt::Display| {
        Error::new(kind, format!("{doing} the online store '{}': {what}", folder.display()))
    };
    let (kind, what) = match error {
        heed::Error::Io(error) => return io_error(folder, doing, error),
        heed::Error::Mdb(MdbError::MapFull) => {
            (ErrorKind::Exhausted, "it is as large as map_size_bytes allows; raise map_size_bytes")
        }
        heed::Error::Mdb(MdbError::MapResized) => (
            ErrorKind::Exhausted,
            "another process made it larger than map_size_bytes allows here; raise map_size_bytes and open it again",
        ),
        heed::Error::Mdb(MdbError::ReadersFull) => {
            (ErrorKind::Exhausted, "too many reads run at the same time; raise max_readers")
        }
        heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch) => {
            (ErrorKind::Corrupt, "its data.mdb is no LMDB file, or one of another version")
        }
        heed::Error::Mdb(MdbError::Corrupted | MdbError::PageNotFound | MdbError::Panic) => {
            (ErrorKind::Corrupt, "its data.mdb is damaged; remove the folder and materialise again")
        }
        heed::Error::EnvAlreadyOpened => {
            (ErrorKind::Unavailable, "something else in this process has its data.mdb open")
        }
        other => return say(ErrorKind::Internal, &other).with_source(other),
    };
    say(kind, &what).with_source(error)
}

fn io_error(folder: &Path, doing: &str, error: std::io::Error) -> Error {
    const EIO: i32 = 5;
    const ENOMEM: i32 = 12;
    let doing = format!("{doing} the online store '{}'", folder.display());
    match error.raw_os_error() {
        // LMDB reports a write that was cut short, as on a disk that has just become full, as this.
        Some(EIO) => Error::unavailable(format!("{doing}: {error}; is the disk full?")).with_source(error),
        Some(ENOMEM) => Error::new(
            ErrorKind::Exhausted,
            format!("{doing}: {error}; the process may not reserve map_size_bytes of address space, lower it"),
        )
        .with_source(error),
        _ if error.kind() == std::io::ErrorKind::StorageFull => {
            Error::new(ErrorKind::Exhausted, format!("{doing}: the disk is full; nothing was written"))
                .with_source(error)
        }
        _ => Error::io(doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do_and_where() {
        let os = |code| heed::Error::Io(std::io::Error::from_raw_os_error(code));
        let mdb = heed::Error::Mdb;
        let cases = [
            (os(28), ErrorKind::Exhausted, "the disk is full; nothing was written"),
            (os(13), ErrorKind::PermissionDenied, "denied"),
            (os(30), ErrorKind::PermissionDenied, "ead-only"),
            (os(12), ErrorKind::Exhausted, "map_size_bytes"),
            (os(5), ErrorKind::Unavailable, "is the disk full?"),
            (mdb(MdbError::MapFull), ErrorKind::Exhausted, "raise map_size_bytes"),
            (mdb(MdbError::MapResized), ErrorKind::Exhausted, "raise map_size_bytes"),
            (mdb(MdbError::ReadersFull), ErrorKind::Exhausted, "raise max_readers"),
            (mdb(MdbError::Invalid), ErrorKind::Corrupt, "no LMDB file"),
            (mdb(MdbError::PageNotFound), ErrorKind::Corrupt, "damaged"),
            (mdb(MdbError::BadTxn), ErrorKind::Internal, "MDB_BAD_TXN"),
            (heed::Error::EnvAlreadyOpened, ErrorKind::Unavailable, "something else in this process"),
        ];
        for (error, kind, part) in cases {
            let error = lmdb_error(Path::new("data/store"), "writing", error);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().starts_with("writing the online store 'data/store': "), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
