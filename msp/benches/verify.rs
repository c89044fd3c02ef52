//! What a node pays for each message and block: a remembered identity, a signature, a block.

use std::sync::Arc;

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use gossip_msp::{BlockVerifier, ChannelConfig, Identities, Trust};
use gossip_proto::common::{Block, Metadata, SignatureHeader};
use prost::Message;

use crate::network::{Draft, Network, Sign, by_creator, by_number};

#[path = "../tests/suite/authority.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod authority;
#[path = "../tests/suite/certificates.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod certificates;
#[path = "../tests/suite/chain.rs"]
mod chain;
#[path = "../tests/suite/made_channel.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod made_channel;
#[path = "../tests/suite/network.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod network;

fn main() {
    divan::main();
}

#[divan::bench]
fn validate_a_remembered_identity(bencher: divan::Bencher<'_, '_>) {
    let signed = Signed::recorded();
    bencher.counter(ItemsCount::new(1usize)).bench(|| signed.identities.validate(&signed.creator));
}

#[divan::bench]
fn validate_an_identity_for_the_first_time(bencher: divan::Bencher<'_, '_>) {
    let signed = Signed::recorded();
    bencher
        .with_inputs(|| Identities::new(signed.config.msps()))
        .bench_values(|identities| identities.validate(&signed.creator));
}

#[divan::bench]
fn verify_a_signature(bencher: divan::Bencher<'_, '_>) {
    let Signed { identities, creator, signature, message, .. } = Signed::recorded();
    identities.verify(&creator, &signature, &message).expect("a valid signature");
    bencher
        .counter(ItemsCount::new(1usize))
        .bench(|| identities.verify(&creator, &signature, &message));
}

#[divan::bench]
fn verify_a_block(bencher: divan::Bencher<'_, '_>) {
    let chain = chain::recorded_chain();
    let config = ChannelConfig::from_block(&chain[0]).expect("genesis");
    let channel = config.channel().to_owned();
    let verifier = BlockVerifier::new();
    verifier.set_config(Arc::new(config));
    let block = &chain[NUMBER];
    verifier.verify(&channel, NUMBER as u64, block).expect("a valid block");
    bencher
        .counter(BytesCount::new(block.len()))
        .bench(|| verifier.verify(&channel, NUMBER as u64, block));
}

/// With the header of its creator in each signature, as orderers sign that tolerate crashes only.
#[divan::bench]
fn verify_a_block_with_three_signatures(bencher: divan::Bencher<'_, '_>) {
    verify_a_made_block(bencher, by_creator);
}

/// With the number of a consenter in each signature, as orderers sign that tolerate more.
#[divan::bench]
fn verify_a_block_with_three_numbered_signatures(bencher: divan::Bencher<'_, '_>) {
    verify_a_made_block(bencher, by_number);
}

/// A block of 50 transactions of 1 KiB.
fn verify_a_made_block(bencher: divan::Bencher<'_, '_>, sign: Sign) {
    let network = Network::new("V3_0", 4);
    let transaction = network::transaction_of(made_channel::CHANNEL, &[7; 1 << 10]);
    let transactions = vec![Bytes::from(transaction); 50];
    let block = network.make(&Draft::default(), &transactions, &[(sign, 1), (sign, 2), (sign, 3)]);
    network.judge(7, &block).expect("a valid block");
    bencher.counter(BytesCount::new(block.len())).bench(|| network.judge(7, &block));
}

/// All signed blocks of it, ordinary ones and configurations.
#[divan::bench]
fn verify_the_recorded_chain(bencher: divan::Bencher<'_, '_>) {
    let chain = chain::recorded_chain();
    let config = ChannelConfig::from_block(&chain[0]).expect("genesis");
    let channel = config.channel().to_owned();
    let verifier = BlockVerifier::new();
    verifier.set_config(Arc::new(config));
    bencher.counter(ItemsCount::new(chain.len() - 1)).bench(|| {
        for (number, block) in chain.iter().enumerate().skip(1) {
            verifier.verify(&channel, number as u64, block).expect("a valid block");
        }
    });
}

/// Of another organisation, which a channel knows.
#[divan::bench]
fn validate_a_remembered_stranger(bencher: divan::Bencher<'_, '_>) {
    let Signed { config, creator, .. } = Signed::recorded();
    let own = config.members()[0].msp.clone().expect("an organisation");
    let trust = Trust::new(own);
    trust.set_channel(Arc::new(config));
    trust.validate(&creator).expect("a member");
    bencher.counter(ItemsCount::new(1usize)).bench(|| trust.validate(&creator));
}

/// An orderer's signature of a recorded block.
struct Signed {
    config: ChannelConfig,
    identities: Identities,
    creator: Bytes,
    signature: Bytes,
    message: Vec<u8>,
}

impl Signed {
    fn recorded() -> Self {
        let chain = chain::recorded_chain();
        let block = Block::decode(chain[NUMBER].clone()).expect("a block");
        let slots = block.metadata.expect("metadata").metadata;
        let metadata = Metadata::decode(slots[0].clone()).expect("signatures");
        let first = &metadata.signatures[0];
        let header = gossip_msp::header_bytes(&block.header.expect("a header"));
        let creator = SignatureHeader::decode(first.signature_header.clone());
        let config = ChannelConfig::from_block(&chain[0]).expect("genesis");
        Self {
            identities: Identities::new(config.msps()),
            creator: creator.expect("a header").creator,
            signature: first.signature.clone(),
            message: [&metadata.value[..], &first.signature_header, &header].concat(),
            config,
        }
    }
}

const NUMBER: usize = 46;
