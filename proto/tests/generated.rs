//! The types checked in are those that the schema generates.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn the_generated_types_match_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked_in = root.join("src/generated");
    if env::var_os("REGENERATE").is_some_and(|value| value == "1") {
        generate(&root.join("proto"), &checked_in);
        return;
    }

    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("generated");
    let _ = fs::remove_dir_all(&fresh);
    generate(&root.join("proto"), &fresh);

    assert_eq!(names(&checked_in), names(&fresh), "one file for each package of the schema");
    for name in names(&fresh) {
        assert!(
            read(&checked_in.join(&name)) == read(&fresh.join(&name)),
            "src/generated/{name} is not what proto/ generates; run \
             `REGENERATE=1 cargo test -p gossip-proto --test generated`",
        );
    }
}

/// Writes the types of the schema under `schema` to the folder `out`, which is made if missing.
fn generate(schema: &Path, out: &Path) {
    fs::create_dir_all(out).expect("the folder for generated files can be made");
    let files = protox::compile(SCHEMA, [schema]).expect("the schema compiles");
    prost_build::Config::new()
        .bytes(["."])
        .btree_map(["."])
        .out_dir(out)
        .compile_fds(files)
        .expect("the schema generates");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the entry can be read").file_name().into_string())
        .map(|name| name.expect("generated files have plain names"))
        .collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a generated file can be read")
}

const SCHEMA: [&str; 10] = [
    "common/common.proto",
    "common/configtx.proto",
    "common/configuration.proto",
    "common/policies.proto",
    "gossip/message.proto",
    "msp/identities.proto",
    "msp/msp_principal.proto",
    "orderer/configuration.proto",
    "peer/collection.proto",
    "peer/configuration.proto",
];
