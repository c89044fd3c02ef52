use std::path::Path;

use super::*;
use crate::ledger::file::Blocks;

#[test]
fn a_chain_is_followed_from_any_of_its_configuration_blocks() {
    let blocks = recorded();
    for first in [0, 13, 41, 42] {
        let mut chain = Chain::begin(&blocks[first]).expect("a configuration");
        for block in &blocks[first + 1..] {
            chain.push(block).expect("the next block");
        }
        assert_eq!((chain.channel(), chain.config_block()), ("ch1", 42));
        assert_eq!(chain.height(), blocks.len() as u64);
    }
}

#[test]
fn what_does_not_belong_to_a_chain_is_refused_and_changes_nothing() {
    let blocks = recorded();
    let mut chain = Chain::begin(&blocks[0]).expect("a configuration");
    let changed = |number: usize, change: fn(&mut Block)| {
        let mut block = Block::decode(blocks[number].clone()).expect("a block");
        change(&mut block);
        Bytes::from(block.encode_to_vec())
    };
    let (height, tip) = (chain.height(), chain.tip());
    for (block, expected) in [
        (blocks[0].clone(), "block 1, found block 0"),
        (blocks[2].clone(), "block 1, found block 2"),
        (Bytes::from_static(&[0xff]), "a serialized common.Block"),
        (changed(1, |block| block.header = None), "a block with a header"),
        (changed(1, |block| block.metadata = None), "block 1 as signed by its orderers"),
        (
            changed(1, |block| block.header.as_mut().expect("one").previous_hash.clear()),
            "block 1 that follows the one before",
        ),
    ] {
        let error = chain.push(&block).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
        assert_eq!((chain.height(), chain.tip()), (height, tip));
    }
    chain.push(&blocks[1]).expect("the next block");
    let error = Chain::begin(&blocks[1]).expect_err("no configuration");
    assert!(error.starts_with("block 1, a channel's configuration: "), "{error}");
}

#[test]
fn the_same_block_may_carry_other_metadata() {
    let blocks = recorded();
    let mut other = Block::decode(blocks[1].clone()).expect("a block");
    other.metadata.as_mut().expect("metadata").metadata.push(Bytes::from_static(b"valid"));
    assert!(is_same_block(&blocks[1], &other.encode_to_vec().into()));
    assert!(!is_same_block(&blocks[1], &blocks[2]));
    assert!(!is_same_block(&Bytes::from_static(&[0xff]), &Bytes::from_static(&[0xff])));
}

#[test]
fn blocks_tell_their_channel() {
    assert!(recorded().iter().all(|block| channel_name(block).as_deref() == Some("ch1")));
    assert_eq!(channel_name(&Bytes::new()), None);
    assert_eq!(channel_name(&Bytes::from_static(&[0xff])), None);
}

fn recorded() -> Vec<Bytes> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
    let blocks = Blocks::open(Path::new(path)).expect("the recorded chain");
    blocks.collect::<Result<_, _>>().expect("blocks")
}
