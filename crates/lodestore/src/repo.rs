//! Feature repositories: the definition files below a folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lodestore_core::definition::Definitions;
use lodestore_core::document::Document;
use lodestore_core::{Error, Result};

/// Files with patterns of what is left out, a pattern a line.
const IGNORE_FILES: [&str; 2] = [".lodestoreignore", ".feastignore"];

/// What was found in a feature repository.
#[derive(Debug, Clone, Default)]
pub struct Repo {
    /// The definitions of all its files.
    pub definitions: Definitions,
    /// The YAML files that were read.
    pub yaml_files: Vec<PathBuf>,
    /// Whether there were Python files, which were read too.
    pub has_python: bool,
}

/// Reads the definition files of a repository: every `.yaml` and `.yml` file but `feature_store.yaml`,
/// and, where there are `.py` files, what they define, by running `python -m lodestore._repo`.
/// Hidden folders, virtual environments and what `.lodestoreignore` names are left out.
///
/// # Errors
/// `Invalid`, naming the file and line, for a file that can't be understood; `AlreadyExists` for a
/// name that is defined twice; `NotFound` if Python files are there but no Python with lodestore is.
pub fn load_repo(folder: &Path, python: Option<&Path>) -> Result<Repo> {
    let mut files = Vec::new();
    find_files(folder, folder, &ignored(folder)?, &mut files)?;
    files.sort();
    let mut repo = Repo::default();
    for file in files {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("py") => repo.has_python = true,
            _ => {
                let text = std::fs::read_to_string(&file).map_err(|e| Error::io(reading(&file), e))?;
                let origin = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
                let document = Document::parse_yaml(&text, &origin)?;
                document.add_to(&mut repo.definitions).map_err(|e| e.with_context("file", origin))?;
                repo.yaml_files.push(file);
            }
        }
    }
    if repo.has_python {
        let document = python_document(folder, python)?;
        document.add_to(&mut repo.definitions).map_err(|e| e.with_context("file", "Python files"))?;
    }
    Ok(repo)
}

fn reading(path: &Path) -> String {
    format!("reading '{}'", path.display())
}

fn ignored(folder: &Path) -> Result<Vec<String>> {
    let mut patterns = Vec::new();
    for name in IGNORE_FILES {
        let file = folder.join(name);
        if file.is_file() {
            let text = std::fs::read_to_string(&file).map_err(|e| Error::io(reading(&file), e))?;
            let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
            patterns.extend(lines.filter(|line| !line.is_empty()).map(|line| line.trim_end_matches('/').to_owned()));
        }
    }
    Ok(patterns)
}

fn find_files(root: &Path, folder: &Path, ignored: &[String], found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(reading(folder), e))? {
        let path = entry.map_err(|e| Error::io(reading(folder), e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let below_root = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let is_ignored = ignored.iter().any(|pattern| matches(pattern, &name) || matches(pattern, &below_root));
        if name.starts_with('.') || name == "__pycache__" || is_ignored {
            continue;
        }
        if path.is_dir() {
            if !path.join("pyvenv.cfg").exists() {
                find_files(root, &path, ignored, found)?;
            }
        } else if name != "feature_store.yaml"
            && matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "py"))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Returns whether a pattern, in which `*` stands for any text, matches the whole of a text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(i, _)| &rest[i..]).chain([""]).any(|rest| matches(after, rest))
        }),
    }
}

fn python_document(folder: &Path, python: Option<&Path>) -> Result<Document> {
    let python = python.map_or_else(find_python, Path::to_owned);
    let output = Command::new(&python)
        .args(["-m", "lodestore._repo"])
        .arg(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| Error::io(format!("running '{}' for the Python files of the repository", python.display()), e))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        if errors.contains("No module named lodestore") || errors.contains("No module named 'lodestore'") {
            return Err(Error::not_found(format!(
                "the repository has Python files, but '{}' has no package lodestore; install it there, or set LODESTORE_PYTHON to a Python that has it",
                python.display()
            )));
        }
        return Err(Error::invalid(errors.trim().trim_start_matches("error: ").to_owned()));
    }
    let document = std::str::from_utf8(&output.stdout)
        .map_err(|e| Error::internal("the document of the Python files is not UTF-8").with_source(e))?;
    Document::parse_json(document, "Python files")
}

/// Returns the Python to read repositories with: that of `LODESTORE_PYTHON`, the one beside this
/// program, that of the active virtual environment, or the one on the path.
fn find_python() -> PathBuf {
    if let Some(chosen) = std::env::var_os("LODESTORE_PYTHON") {
        return chosen.into();
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("python3")));
    let active = std::env::var_os("VIRTUAL_ENV").map(|venv| Path::new(&venv).join("bin/python3"));
    let found = beside.into_iter().chain(active).find(|python| python.exists());
    found.unwrap_or_else(|| "python3".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("venv", "venv", true),
            ("venv", "venv2", false),
            ("*.tmp.yaml", "a.tmp.yaml", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
