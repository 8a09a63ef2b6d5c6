//! The committed code of the messages and services is what the files in `proto/` say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::world::Outcome;

const PROTO_FILES: [&str; 2] = ["feast/serving/ServingService.proto", "feast/serving/GrpcServer.proto"];

#[test]
fn the_generated_code_is_up_to_date() -> Outcome {
    let crate_folder = Path::new(".");
    let committed = crate_folder.join("src/grpc/generated");
    let generated = generate(&crate_folder.join("../../proto"))?;
    assert_eq!(generated.keys().collect::<Vec<_>>(), ["feast.serving.rs", "feast.types.rs", "no_package.rs"]);
    if std::env::var_os("LODESTORE_UPDATE").is_some() {
        for (name, code) in &generated {
            fs::write(committed.join(name), code)?;
        }
    }
    assert_eq!(
        files(&committed)?,
        generated,
        "src/grpc/generated is out of date; run the tests with LODESTORE_UPDATE=1"
    );
    Ok(())
}

fn generate(proto: &Path) -> Outcome<BTreeMap<String, String>> {
    let folder = tempfile::tempdir()?;
    tonic_prost_build::configure()
        // Maps that are always sent in the same order.
        .btree_map(".")
        .build_transport(false)
        .out_dir(folder.path())
        .compile_fds(protox::compile(PROTO_FILES, [proto])?)?;
    let generated = files(folder.path())?;
    Ok(generated.into_iter().map(|(name, code)| (name.replace("_.rs", "no_package.rs"), code)).collect())
}

fn files(folder: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    Ok(files)
}
