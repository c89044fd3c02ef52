//! Blocks in their order: what each must have in common with the one before.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockError, ChannelConfig, Succession, header_hash, is_config_block};
use gossip_proto::common::{Block, BlockHeader, Metadata};
use prost::Message;

use crate::chain::recorded_chain;
use crate::made_channel::{CHANNEL, at, block, channel, read};
use crate::network::{Draft, Network, Sign, by_creator, by_number, transaction};

/// §13.5: a recorded chain is one, with its configurations, whole or by its headers.
#[test]
fn a_recorded_chain_is_a_succession() {
    let chain = recorded_chain();
    let config = Arc::new(ChannelConfig::from_block(&chain[0]).expect("genesis"));
    let mut whole = Succession::new(config, &header(&chain[0])).expect("a policy");
    let mut attested = whole.clone();
    for (number, block) in chain.iter().enumerate().skip(1) {
        assert_eq!(whole.verify(block), Ok(()), "block {number}");
        assert_eq!(attested.verify_attestation(&without_data(block)), Ok(()), "block {number}");
        if is_config_block(block) {
            whole.configure(block).expect("a configuration");
            attested.configure(block).expect("a configuration");
        }
        assert_eq!(whole.number(), number as u64);
        assert_eq!(whole.header_hash(), header_hash(&header(block)));
    }
    assert_eq!(attested.header_hash(), whole.header_hash());
    for (number, block) in chain.iter().enumerate() {
        let expected = Err(BlockError::WrongNumber(number as u64));
        assert_eq!(whole.verify(block), expected, "each comes once");
    }
}

/// SV-51: number, hash of the block before, slots of metadata, hash of the data, signatures.
#[test]
fn the_next_block_has_one_number_and_one_hash_before_it() {
    let network = Network::new("V3_0", 4);
    let last = BlockHeader { number: 6, ..BlockHeader::default() };
    let previous_hash = Bytes::copy_from_slice(&header_hash(&last));
    let good = Draft { previous_hash: previous_hash.clone(), slots: 5, ..Draft::default() };
    let start = Succession::new(Arc::clone(&network.config), &last).expect("a policy");
    let judge = |draft: &Draft, signatures: &[(Sign, usize)], edit: fn(&mut Block)| {
        let made = network.make(draft, &[transaction(CHANNEL).into()], signatures);
        let mut block = Block::decode(made).expect("a block");
        edit(&mut block);
        let block = Bytes::from(block.encode_to_vec());
        [Succession::verify, Succession::verify_attestation].map(|verify| {
            let mut succession = start.clone();
            let verdict = verify(&mut succession, &block);
            assert_eq!(succession.number(), if verdict.is_ok() { 7 } else { 6 });
            verdict
        })
    };
    let same = |verdict: Result<(), BlockError>| [verdict; 2];
    let fine = |_: &mut Block| ();
    assert_eq!(judge(&good, &QUORUM, fine), same(Ok(())));
    for number in [0, 5, 6, 8, u64::MAX] {
        let draft = Draft { number, ..good.clone() };
        assert_eq!(judge(&draft, &QUORUM, fine), same(Err(BlockError::WrongNumber(number))));
    }
    for previous_hash in [Bytes::new(), Bytes::from_static(&[0; 32])] {
        let draft = Draft { previous_hash, ..good.clone() };
        assert_eq!(judge(&draft, &QUORUM, fine), same(Err(BlockError::WrongPreviousHash)));
    }
    let draft = Draft { slots: 4, ..good.clone() };
    assert_eq!(judge(&draft, &QUORUM, fine), same(Err(BlockError::TooFewSlots(4))));
    let none = judge(&good, &QUORUM, |block| block.metadata = None);
    assert_eq!(none, same(Err(BlockError::TooFewSlots(0))));
    let none = judge(&good, &QUORUM, |block| block.header = None);
    assert_eq!(none, same(Err(BlockError::NoHeader)));
    assert_eq!(judge(&good, &QUORUM[1..], fine), same(Err(BlockError::NotSatisfied(2))));
    let other = judge(&good, &QUORUM, |block| {
        let data = block.data.as_mut().expect("data");
        data.data[0] = transaction("other").into();
    });
    assert_eq!(other, [Err(BlockError::WrongDataHash), Ok(())]);
    let malformed = judge(&good, &QUORUM, |block| {
        block.data.as_mut().expect("data").data.push(Bytes::new());
    });
    assert_eq!(malformed, [Err(BlockError::MalformedTransaction(1)), Ok(())]);
    let none = judge(&good, &QUORUM, |block| block.data = None);
    assert_eq!(none, [Err(BlockError::NoTransactions), Ok(())]);
    let garbled = judge(&good, &QUORUM, |block| {
        let slots = &mut block.metadata.as_mut().expect("metadata").metadata;
        let signed = Metadata { value: Bytes::new(), ..Metadata::default() };
        slots[0] = [signed.encode_to_vec(), vec![0xff]].concat().into();
    });
    assert_eq!(garbled, same(Err(BlockError::UndecodableSignatures)));
}

/// The last number has no successor.
#[test]
fn nothing_follows_the_last_number() {
    let network = Network::new("V3_0", 4);
    let last = BlockHeader { number: u64::MAX, ..BlockHeader::default() };
    let mut succession = Succession::new(Arc::clone(&network.config), &last).expect("a policy");
    let previous_hash = Bytes::copy_from_slice(&header_hash(&last));
    let draft = Draft { number: 0, previous_hash, slots: 5, ..Draft::default() };
    let block = network.make(&draft, &[transaction(CHANNEL).into()], &QUORUM);
    assert_eq!(succession.verify(&block), Err(BlockError::WrongNumber(0)));
}

/// SV-61, SV-62: a configuration must have a policy on blocks and be of the same channel.
#[test]
fn only_a_configuration_of_the_channel_with_a_policy_on_blocks_will_do() {
    let network = Network::new("V3_0", 4);
    let (_, without_policy) = channel();
    let none = Arc::new(read(&without_policy).expect("a configuration"));
    let last = BlockHeader { number: 6, ..BlockHeader::default() };
    let refused = Succession::new(none, &last).map(drop);
    assert_eq!(refused, Err(BlockError::NoPolicy));

    let mut succession = Succession::new(Arc::clone(&network.config), &last).expect("a policy");
    let mut changed = network.root.clone();
    at(&mut changed, "Orderer").policies.clear();
    let not_one = Bytes::from(Block::default().encode_to_vec());
    for (block, expected) in [
        (block("other", 7, &network.root), "channel: is \"other\", expected \"made\""),
        (block(CHANNEL, 7, &changed), "block: no policy /Channel/Orderer/BlockValidation"),
        (not_one, "block: has no header"),
    ] {
        let error = succession.configure(&block).expect_err(expected).to_string();
        assert_eq!(error, expected);
        assert_eq!(succession.number(), 6);
    }
    succession.configure(&block(CHANNEL, 7, &network.root)).expect("a configuration");
    assert_eq!(succession.number(), 7);
}

fn header(block: &Bytes) -> BlockHeader {
    Block::decode(block.clone()).expect("a block").header.expect("a header")
}

fn without_data(block: &Bytes) -> Bytes {
    let block = Block::decode(block.clone()).expect("a block");
    Block { data: None, ..block }.encode_to_vec().into()
}

/// Three of four.
const QUORUM: [(Sign, usize); 3] = [(by_creator, 1), (by_number, 2), (by_number, 3)];
