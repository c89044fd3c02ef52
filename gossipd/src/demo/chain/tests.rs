//! What is said of files that hold no chain.

use std::{env, fs, process, sync::atomic::AtomicU64, sync::atomic::Ordering};

use gossip_proto::common::Block;
use prost::Message;

use super::*;

#[test]
fn a_recorded_chain_is_read_with_its_channel_and_configurations() {
    let chain = ChainFile::open(Path::new(RECORDED), u64::MAX).expect("a chain");
    assert_eq!((chain.channel.as_str(), chain.count), ("ch1", 67));
    let blocks: Vec<_> = chain.blocks().expect("readable").collect();
    assert_eq!(blocks.len(), 67);
    assert!(blocks.iter().all(Result::is_ok));
    assert_eq!(chain.config_blocks, BTreeSet::from([13, 41, 42]));
}

#[test]
fn no_more_is_read_than_was_asked_for() {
    let mut bytes = recorded();
    let third = offset(&bytes, 3);
    bytes.truncate(third);
    bytes.extend([0xff; 20]);
    let file = Temporary::new(&bytes);
    let chain = ChainFile::open(&file.0, 2).expect("two blocks after block 0");
    assert_eq!((chain.count, chain.blocks().expect("readable").count()), (2, 2));
}

#[test]
fn errors_name_file_place_and_what_was_expected() {
    let whole = recorded();
    let [first, second, third] = [1, 2, 3].map(|index| offset(&whole, index));
    let swapped = [&whole[..first], &whole[second..third]].concat();
    let mut forged = Block::decode_length_delimited(&whole[second..third]).expect("block 2");
    forged.data.as_mut().expect("data").data.push(Bytes::new());
    let forged = [&whole[..second], &forged.encode_length_delimited_to_vec()].concat();
    for (bytes, place, expected) in [
        (vec![], 0, "block 0, found the end"),
        (vec![0x80], 0, "the length of a block, found the end"),
        (vec![0xff; 9], 0, "varint of at most 5 bytes"),
        (vec![0xff, 0xff, 0xff, 0xff, 0x0f], 0, "at most 103809024 bytes"),
        (vec![5, 1, 2], 0, "a block of 5 bytes, found only 2"),
        (vec![2, 0xff, 0xff], 0, "a serialized common.Block"),
        (whole[..first].to_vec(), first, "block 1, found the end"),
        (whole[..second - 1].to_vec(), first, "found only"),
        (swapped, first, "block 1, found block 2"),
        (whole[first..].to_vec(), 0, "block 0, found block 1"),
        (forged, second, "block 2 as signed by its orderers"),
    ] {
        let file = Temporary::new(&bytes);
        let error = ChainFile::open(&file.0, u64::MAX).expect_err(expected).to_string();
        let path = file.0.display().to_string();
        for part in [path.as_str(), &format!("at byte {place}:"), expected] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn a_missing_file_and_a_directory_are_named() {
    for path in ["/no/such/file.chain", "/"] {
        let error = ChainFile::open(Path::new(path), 1).expect_err(path).to_string();
        assert!(error.starts_with(path) && error.contains("a file of blocks"), "{error}");
    }
}

/// A file that goes away with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("gossipd-{}-{number}.chain", process::id()));
        fs::write(&path, bytes).expect("a temporary file");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn recorded() -> Vec<u8> {
    fs::read(RECORDED).expect("the recorded chain")
}

/// Returns where a block begins.
fn offset(bytes: &[u8], index: usize) -> usize {
    let mut rest = bytes;
    for _ in 0..index {
        let length = prost::decode_length_delimiter(&mut rest).expect("a length");
        rest = &rest[length..];
    }
    bytes.len() - rest.len()
}

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
