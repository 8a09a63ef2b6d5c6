//! Holds the direction of dependencies between the crates of the workspace.

use std::collections::BTreeMap;
use std::process::Command;

/// Which crates of the workspace each may depend on, besides for its tests.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("lodestore-core", &[]),
    ("lodestore-registry", &["lodestore-core"]),
    ("lodestore-offline", &["lodestore-core"]),
    ("lodestore-online", &["lodestore-core"]),
    ("lodestore-materialize", &["lodestore-core"]),
    (
        "lodestore",
        &["lodestore-core", "lodestore-materialize", "lodestore-offline", "lodestore-online", "lodestore-registry"],
    ),
    ("lodestore-server", &["lodestore"]),
    ("lodestore-allocator", &[]),
    ("lodestore-cli", &["lodestore", "lodestore-allocator", "lodestore-server"]),
    ("lodestore-python", &["lodestore", "lodestore-allocator"]),
    ("lodestore-testkit", &["lodestore-core"]),
];

#[test]
fn dependencies_point_one_way() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let of_workspace = package["dependencies"].as_array().unwrap().iter().filter(|dependency| {
            dependency["kind"].is_null() && dependency["name"].as_str().unwrap().starts_with("lodestore")
        });
        let mut names: Vec<&str> = of_workspace.map(|dependency| dependency["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        found.insert(package["name"].as_str().unwrap(), names);
    }
    let known: Vec<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for (package, names) in &found {
        let (_, allowed) = ALLOWED
            .iter()
            .find(|(name, _)| name == package)
            .unwrap_or_else(|| panic!("crate '{package}' is not in the table of directions; known: {known:?}"));
        let wrong: Vec<_> = names.iter().filter(|name| !allowed.contains(name)).collect();
        assert!(wrong.is_empty(), "crate '{package}' depends on {wrong:?}, but may only on {allowed:?}");
    }
    assert_eq!(found.len(), ALLOWED.len(), "the table of directions names a crate that is not there");
}
