use std::fs;

use prost::Message;

use super::*;
use crate::{ledger::Blocks, tests};

struct Peer {
    folder: tests::Folder,
    blocks: Vec<Bytes>,
}

impl Peer {
    fn new() -> Self {
        Self { folder: tests::Folder::new(), blocks: recorded() }
    }

    fn open(&self, channel_blocks: &[PathBuf]) -> Result<Vec<Joined>, String> {
        open(&Folder::below(self.folder.path()), channel_blocks).map_err(|error| error.to_string())
    }

    fn channel_block(&self, number: usize) -> PathBuf {
        let file = self.folder.path().join(format!("{number}.block"));
        fs::write(&file, &self.blocks[number]).expect("a file");
        file
    }
}

#[test]
fn a_channel_that_was_joined_is_joined_again_after_its_last_block() {
    let peer = Peer::new();
    assert!(peer.open(&[]).expect("no ledgers").is_empty());
    let mut joined = peer.open(&[peer.channel_block(0)]).expect("a ledger is made");
    joined[0].ledger.append(&peer.blocks[1..20]).expect("blocks that follow");
    drop(joined);
    for channel_blocks in [vec![], vec![peer.channel_block(0)], vec![peer.channel_block(13)]] {
        let joined = peer.open(&channel_blocks).expect("the ledger");
        let [Joined { channel, ledger }] = &joined[..] else { panic!("{joined:?}") };
        assert_eq!((channel.number, channel.config.sequence()), (13, 1));
        assert_eq!(ledger.height(), 20);
    }
}

#[test]
fn a_channel_block_that_does_not_fit_the_ledger_is_refused() {
    let peer = Peer::new();
    let mut joined = peer.open(&[peer.channel_block(13)]).expect("a ledger is made");
    joined[0].ledger.append(&peer.blocks[14..20]).expect("blocks that follow");
    drop(joined);
    for number in [0, 41] {
        let file = peer.channel_block(number);
        let error = peer.open(std::slice::from_ref(&file)).expect_err("not there");
        let expected = format!("{}: expected one of the blocks 13 to 19", file.display());
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains(&format!("found block {number}: ")), "{error}");
    }
    let mut other = gossip_proto::common::Block::decode(peer.blocks[13].clone()).expect("a block");
    other.header.as_mut().expect("a header").previous_hash = Bytes::from_static(b"another");
    let file = peer.folder.path().join("other.block");
    fs::write(&file, other.encode_to_vec()).expect("a file");
    let error = peer.open(&[file]).expect_err("of another network");
    assert!(error.contains("expected block 13 as in the ledger"), "{error}");
    let twice = peer.open(&[peer.channel_block(13), peer.channel_block(13)]);
    let error = twice.expect_err("the same channel twice");
    assert!(error.contains("13.block: expected another channel: ch1 is joined already"), "{error}");
}

#[test]
fn a_ledger_under_another_channels_name_is_refused() {
    let peer = Peer::new();
    drop(peer.open(&[peer.channel_block(0)]).expect("a ledger is made"));
    let ledgers = peer.folder.path().join("gossipd-ledgers");
    fs::rename(ledgers.join("ch1.redb"), ledgers.join("ch2.redb")).expect("a file");
    let error = peer.open(&[]).expect_err("another name");
    assert!(error.ends_with("ch2.redb: found channel ch1: name the file after it"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_what_to_set() {
    let peer = Peer::new();
    let file = peer.channel_block(0);
    let error = open(&Folder::below(&file), std::slice::from_ref(&file)).expect_err("no folder");
    let error = error.to_string();
    assert!(error.contains("0.block/gossipd-ledgers: "), "{error}");
}

fn recorded() -> Vec<Bytes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
    let blocks = Blocks::open(Path::new(path)).expect("the recorded chain");
    blocks.collect::<Result<_, _>>().expect("blocks")
}
