//! `lodestore init`

use std::path::{Path, PathBuf};

use lodestore::core::name::ProjectName;
use lodestore::core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::args::{InitArgs, Template};
use crate::error::Exit;
use crate::session::Session;

/// A file of a template: where it goes, and what it holds.
type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($($to:literal from $path:literal),+ $(,)?) => {
        &[$(($to, include_bytes!(concat!("../../", $path)) as &[u8])),+]
    };
}

const MINIMAL: &[File] = files![
    "data/driver_stats.csv" from "templates/minimal/data/driver_stats.csv",
    "entities.csv" from "templates/minimal/entities.csv",
    "features.yaml" from "templates/minimal/features.yaml",
    "README.md" from "templates/minimal/README.md",
    ".gitignore" from "templates/minimal/gitignore",
    "feature_store.yaml" from "templates/minimal/feature_store.yaml",
];

const FLIGHTS: &[File] = files![
    "data/flights_2013q1.parquet" from "templates/flights/data/flights_2013q1.parquet",
    "data/weather.parquet" from "../../examples/flights/weather.parquet",
    "data/planes.parquet" from "../../examples/flights/planes.parquet",
    "data/airports.parquet" from "../../examples/flights/airports.parquet",
    "data/airlines.parquet" from "../../examples/flights/airlines.parquet",
    "departures.csv" from "templates/flights/departures.csv",
    "features.yaml" from "templates/flights/features.yaml",
    "README.md" from "templates/flights/README.md",
    ".gitignore" from "templates/flights/gitignore",
    "feature_store.yaml" from "templates/flights/feature_store.yaml",
];

pub(super) fn run(session: &Session, args: &InitArgs) -> Result<Exit> {
    let folder = session.in_folder(&args.folder);
    let project = project_of(&folder)?;
    let files = match args.template {
        _ if args.minimal => MINIMAL,
        Template::Minimal => MINIMAL,
        Template::Flights => FLIGHTS,
    };
    let existed = folder.exists();
    check_empty(&folder)?;
    if let Err(error) = write_files(&folder, &project, files) {
        // Half a repository would be in the way of the next try.
        if !existed {
            let _ = std::fs::remove_dir_all(&folder);
        }
        return Err(error);
    }
    let shown = folder.display();
    let text = format!(
        "Made the feature repository '{shown}' of project '{project}'. Next:\n\n  cd {shown}\n  lodestore apply\n\n\
         Its README.md tells what there is and what to try."
    );
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    session.printer.answer(text, &json!({"project": project, "folder": folder, "files": names}))?;
    Ok(Exit::Fine)
}

/// Returns the project's name: that of the folder.
fn project_of(folder: &Path) -> Result<ProjectName> {
    let absolute = std::path::absolute(folder).map_err(|e| Error::io("finding the folder to make", e))?;
    let Some(name) = absolute.file_name().and_then(|name| name.to_str()) else {
        return Err(Error::invalid(format!("'{}' has no name to call the project by", folder.display())));
    };
    ProjectName::new(name)
}

fn check_empty(folder: &Path) -> Result<()> {
    let taken = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => true,
        Err(error) => return Err(Error::io(format!("reading '{}'", folder.display()), error)),
    };
    if taken {
        let message = format!("'{}' exists and is not empty; choose another name", folder.display());
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    Ok(())
}

fn write_files(folder: &Path, project: &ProjectName, files: &[File]) -> Result<()> {
    for (name, content) in files {
        let path = folder.join(name);
        let writing = |e| Error::io(format!("writing '{}'", path.display()), e);
        let parent: PathBuf = path.parent().unwrap_or(folder).to_owned();
        std::fs::create_dir_all(parent).map_err(writing)?;
        std::fs::write(&path, filled(content, project)).map_err(writing)?;
    }
    Ok(())
}

/// Returns a file with the project's name put in, in YAML as a quoted text.
fn filled(content: &[u8], project: &ProjectName) -> Vec<u8> {
    match std::str::from_utf8(content) {
        Ok(text) => {
            let quoted = Value::from(project.as_str()).to_string();
            text.replace("{{project}}", &quoted).replace("{{name}}", project.as_str()).into_bytes()
        }
        Err(_) => content.to_vec(),
    }
}
