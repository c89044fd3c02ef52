//! The `ledger` command: blocks go from files to ledgers and back, and nothing wrong with them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

#[test]
fn blocks_that_were_imported_are_shown_verified_and_exported_as_they_were() {
    let folder = Folder::new();
    let recorded = fs::read(RECORDED).expect("the recorded chain");
    let told = folder.ledger(&["import", RECORDED]);
    assert_eq!(told, "ch1: height 68; blocks added: 68, there before: 0\n");
    let info: Value = serde_json::from_str(&folder.ledger(&["info", "--json"])).expect("JSON");
    for (field, value) in
        [("first", 0), ("height", 68), ("config_block", 42), ("config_sequence", 3)]
    {
        assert_eq!(info[field], value, "{field}");
    }
    assert_eq!((&info["channel"], info["bytes"].is_u64()), (&"ch1".into(), true));
    let text = folder.ledger(&["info", "ch1"]);
    assert!(text.contains("68: blocks 0 to 67") && text.contains("3, of block 42"), "{text}");
    let verified = folder.ledger(&["verify"]);
    let hash = info["last_hash"].as_str().expect("text");
    let expected =
        format!("ch1: blocks 0 to 67: checksums, links and signatures hold; last hash {hash}\n");
    assert_eq!(verified, expected);
    let file = folder.file("all.blocks");
    folder.ledger(&["export", "ch1", &file]);
    assert!(fs::read(&file).expect("the file") == recorded);
    let told = folder.ledger(&["import", &file]);
    assert_eq!(told, "ch1: height 68; blocks added: 0, there before: 68\n");
}

#[test]
fn a_ledger_can_be_put_together_from_parts_but_not_with_a_gap() {
    let (whole, parts) = (Folder::new(), Folder::new());
    whole.ledger(&["import", RECORDED]);
    let export = |from: &str, to: &str| {
        let file = whole.file(&format!("{from}-{to}"));
        whole.ledger(&["export", "ch1", &file, "--from", from, "--to", to]);
        file
    };
    let error = parts.refused(&["import", &export("1", "9")]);
    assert!(error.contains("1-9: at byte 0: expected block 1, a channel's configuration: "));
    assert!(error.ends_with("; there is no ledger of ch1 that it follows\n"), "{error}");
    let told = parts.ledger(&["import", &export("0", "0")]);
    assert_eq!(told, "ch1: height 1; blocks added: 1, there before: 0\n");
    let error = parts.refused(&["import", &export("2", "9")]);
    assert!(error.contains("2-9: at byte 0: expected block 1, found block 2; "), "{error}");
    parts.ledger(&["import", &export("0", "20")]);
    let told = parts.ledger(&["import", &export("15", "67")]);
    assert_eq!(told, "ch1: height 68; blocks added: 47, there before: 6\n");
    parts.ledger(&["verify", "ch1"]);
    let later = Folder::new();
    later.ledger(&["import", &export("41", "67")]);
    assert!(later.ledger(&["info"]).contains("68: blocks 41 to 67"));
    later.ledger(&["verify"]);
    assert_eq!(
        later.ledger(&["import", RECORDED]),
        "ch1: height 68; blocks added: 0, there before: 68\n"
    );
}

#[test]
fn an_import_ends_at_the_first_block_that_is_wrong_and_keeps_those_before() {
    let (folder, mut bytes) = (Folder::new(), fs::read(RECORDED).expect("the recorded chain"));
    let (start, end) = (offset(&bytes, 20), offset(&bytes, 21));
    // The last bytes of a block are of its signature.
    bytes[end - 20] ^= 1;
    let file = folder.file("forged.blocks");
    fs::write(&file, &bytes).expect("a file");
    let error = folder.refused(&["import", &file]);
    let expected = format!("error: {file}: at byte {start}: expected block 20 as signed by its");
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.ends_with("; ch1 has height 20\n"), "{error}");
    let told = folder.ledger(&["import", RECORDED]);
    assert_eq!(told, "ch1: height 68; blocks added: 48, there before: 20\n");
}

#[test]
fn an_export_replaces_nothing_unless_it_is_told_to() {
    let folder = Folder::new();
    folder.ledger(&["import", RECORDED]);
    let file = folder.file("there");
    fs::write(&file, "precious").expect("a file");
    let error = folder.refused(&["export", "ch1", &file]);
    assert_eq!(error, format!("error: {file}: there is a file; --force replaces it\n"));
    assert_eq!(fs::read(&file).expect("the file"), b"precious");
    folder.ledger(&["export", "ch1", &file, "--force", "--to", "1"]);
    let recorded = fs::read(RECORDED).expect("the recorded chain");
    assert!(fs::read(&file).expect("the file") == recorded[..offset(&recorded, 2)]);
    for (from, to) in [("0", "68"), ("5", "4")] {
        let error = folder.refused(&["export", "ch1", "none", "--from", from, "--to", to]);
        assert!(error.contains("expected blocks between 0 and 67, in order; asked for"), "{error}");
    }
    let error = folder.refused(&["export", "ch2", "none"]);
    assert!(error.ends_with("ch2.redb: no such ledger; there: ch1\n"), "{error}");
    let error = folder.refused(&["info", "../ch1"]);
    assert!(error.starts_with("error: channel \"../ch1\": expected a name of "), "{error}");
}

#[test]
fn a_block_that_the_disk_has_changed_is_found_and_named() {
    let folder = Folder::new();
    folder.ledger(&["import", RECORDED]);
    let recorded = fs::read(RECORDED).expect("the recorded chain");
    let block = &recorded[offset(&recorded, 5)..offset(&recorded, 6)];
    let tail = &block[block.len() - 64..];
    let ledger = folder.path.join("gossipd-ledgers/ch1.redb");
    let mut bytes = fs::read(&ledger).expect("the ledger");
    let places: Vec<_> =
        (0..bytes.len() - tail.len()).filter(|at| bytes[*at..].starts_with(tail)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&ledger, bytes).expect("a file");
    let error = folder.refused(&["verify"]);
    let expected = format!(
        "error: {}: damaged: block 5 differs from its checksum; move the file away, then ",
        ledger.display()
    );
    assert!(error.starts_with(&expected), "{error}");
    let file = folder.file("export");
    assert_eq!(folder.refused(&["export", "ch1", &file]), error);
    assert!(!Path::new(&file).exists());
}

#[test]
fn an_import_that_a_full_disk_ended_goes_on_when_there_is_room() {
    let folder = Folder::new();
    // In blocks of 512 bytes; writes beyond fail as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_gossipd")]);
    let output = folder.output(command.args(["ledger", "import", RECORDED]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("gossipd-ledgers/ch1.redb: ") && error.contains("large"), "{error}");
    folder.ledger(&["import", RECORDED]);
    assert!(folder.ledger(&["verify"]).starts_with("ch1: blocks 0 to 67: "));
}

#[test]
fn what_cannot_be_read_hides_no_other_ledger() {
    let folder = Folder::new();
    let output = folder.output(gossipd().args(["ledger", "info"]));
    let said = String::from_utf8(output.stderr).expect("text");
    let ledgers = folder.path.join("gossipd-ledgers");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
    assert_eq!(said, format!("no ledgers in {}\n", ledgers.display()));
    folder.ledger(&["import", RECORDED]);
    fs::write(ledgers.join("a.redb"), "text").expect("a file");
    for tool in ["info", "verify"] {
        let output = folder.output(gossipd().args(["ledger", tool]));
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("ch1"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("a.redb: expected the blocks of a channel"), "{error}");
    }
}

/// Where ledgers are kept in a test, which goes away with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("gossipd-ledger-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self { path }
    }

    fn file(&self, name: &str) -> String {
        self.path.join(name).to_str().expect("text").to_owned()
    }

    /// Runs a tool that is to succeed, and returns what it says.
    fn ledger(&self, args: &[&str]) -> String {
        let output = self.output(gossipd().arg("ledger").args(args));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a tool that is to fail, and returns what it says.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.output(gossipd().arg("ledger").args(args));
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    fn output(&self, command: &mut Command) -> Output {
        command.arg("--path").arg(&self.path).stdin(Stdio::null()).output().expect("gossipd runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn gossipd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gossipd"))
}

/// Returns where a block begins, its length first.
fn offset(bytes: &[u8], index: usize) -> usize {
    let mut rest = bytes;
    for _ in 0..index {
        let length = prost::decode_length_delimiter(&mut rest).expect("a length");
        rest = &rest[length..];
    }
    bytes.len() - rest.len()
}

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
