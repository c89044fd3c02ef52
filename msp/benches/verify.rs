//! What a node pays for each message and block: a remembered identity, a signature, a block.

use std::sync::Arc;

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use gossip_msp::{BlockVerifier, ChannelConfig, Identities};
use gossip_proto::common::{Block, Metadata, SignatureHeader};
use prost::Message;

#[path = "../tests/suite/chain.rs"]
mod chain;

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
