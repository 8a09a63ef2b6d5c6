//! A folder to run the binary in, and what a run printed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A feature repository in a folder of its own.
pub(crate) struct Repo {
    folder: TempDir,
    name: &'static str,
}

/// What a run printed, and how it ended.
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Returns the binary, in a surrounding that is the same everywhere.
pub(crate) fn lodestore(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lodestore"));
    command.current_dir(folder).stdin(Stdio::null()).env("USER", "ada");
    command.env_remove("LODESTORE_REPO").env("LODESTORE_PYTHON", "/no/python");
    command
}

/// Runs the binary in a folder.
pub(crate) fn run_in<T: AsRef<OsStr>>(folder: &Path, words: &[T]) -> Answer {
    let output = lodestore(folder).args(words).output().unwrap();
    Answer {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Repo {
    /// Makes a repository from a template.
    pub(crate) fn init(name: &'static str, template: &str) -> Self {
        let folder = TempDir::new().unwrap();
        run_in(folder.path(), &["init", name, "--template", template]).ok();
        Self { folder, name }
    }

    /// Makes a repository from the smallest template and applies it.
    pub(crate) fn applied() -> Self {
        let repo = Self::init("demo", "minimal");
        repo.run("apply").ok();
        repo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Runs the binary with words that are separated by spaces.
    pub(crate) fn run(&self, words: &str) -> Answer {
        run_in(&self.path(), &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the binary and parses what it prints.
    pub(crate) fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{words} --json")).ok().stdout).unwrap()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// Replaces text in a file; it must be there.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} does not contain {from:?}");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// Returns the bytes of the registry's file.
    pub(crate) fn registry(&self) -> Option<Vec<u8>> {
        fs::read(self.path().join("data/registry.db")).ok()
    }
}

impl Answer {
    /// Expects that all went well, and no warnings.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ends_with_status(0)
    }

    #[track_caller]
    pub(crate) fn ends_with_status(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Returns all that was printed, without what differs from run to run.
    pub(crate) fn shown(&self) -> String {
        let stderr: String = self.stderr.lines().map(|line| format!("! {line}\n")).collect();
        let text = format!("{}{stderr}", self.stdout);
        text.lines().map(|line| stable(line).trim_end().to_owned() + "\n").collect()
    }
}

/// Replaces present times and hashes.
fn stable(line: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || c == ',' || c == '"';
    let mut text = String::new();
    for word in line.split_inclusive(is_end) {
        let (word, end) = word.split_at(word.trim_end_matches(is_end).len());
        let is_hash = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_present = word.ends_with('Z') && word > "2025" && word.starts_with("20");
        text += if is_hash {
            "[hash]"
        } else if is_present {
            "[time]"
        } else {
            word
        };
        text += end;
    }
    text
}
