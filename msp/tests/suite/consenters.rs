//! Blocks of an ordering service that tolerates Byzantine faults, signed by number.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockError, SigningIdentity};
use gossip_proto::common::MetadataSignature;

use crate::made_channel::{channel, read};
use crate::network::{Network, Sign, Signatures, by_creator, by_number};

/// §13.3, C-46, SV-54, SV-55, SV-57: what each set of signatures is worth on a channel of four
/// consenters, of whom three must sign.
#[test]
fn blocks_are_signed_by_a_quorum_of_consenters() {
    let network = Network::new("V3_0", 4);
    let [number, creator] = [by_number as Sign, by_creator as Sign];
    let cases: [(&str, Signatures<'_>, Result<(), BlockError>); 10] = [
        ("three", &[(number, 1), (number, 2), (number, 3)], Ok(())),
        ("in any order", &[(number, 4), (number, 3), (number, 1)], Ok(())),
        ("all", &[(number, 1), (number, 2), (number, 3), (number, 4)], Ok(())),
        ("two", &[(number, 1), (number, 2)], Err(BlockError::NotSatisfied(2))),
        ("one twice", &[(number, 1), (number, 1), (number, 2)], Err(BlockError::NotSatisfied(2))),
        ("by both headers", &[(creator, 1), (number, 2), (creator, 3)], Ok(())),
        ("once by each", &[(creator, 1), (number, 1), (number, 2)], {
            Err(BlockError::NotSatisfied(2))
        }),
        ("an unknown number", &[(number, 1), (unknown, 2), (number, 3), (number, 4)], Ok(())),
        ("under another's number", &[(number, 1), (number, 2), (as_first, 3)], {
            Err(BlockError::NotSatisfied(2))
        }),
        ("no header at all", &[(number, 1), (number, 2), (number, 3), (nameless, 4)], Ok(())),
    ];
    for (what, signatures, expected) in cases {
        assert_eq!(network.verify(signatures), expected, "{what}");
    }
    let garbled = network.verify(&[(number, 1), (number, 2), (number, 3), (undecodable, 4)]);
    assert_eq!(garbled, Err(BlockError::UndecodableSignatures));
}

/// SV-55: without the capability a number names nobody.
#[test]
fn numbers_name_nobody_on_channels_without_the_capability() {
    let network = Network::new("V2_0", 4);
    let by_numbers: [(Sign, usize); 3] = [(by_number, 1), (by_number, 2), (by_number, 3)];
    assert_eq!(network.verify(&by_numbers), Err(BlockError::NotSatisfied(0)));
    let by_creators: [(Sign, usize); 3] = [(by_creator, 1), (by_creator, 2), (by_creator, 3)];
    assert_eq!(network.verify(&by_creators), Ok(()));
    assert_eq!(network.verify(&[(undecodable, 1)]), Err(BlockError::NotSatisfied(0)));
}

/// C12.2.d, C-43, SV-61: a channel without a policy on blocks takes none.
#[test]
fn a_channel_without_a_policy_on_blocks_takes_none() {
    let network = Network::new("V3_0", 4);
    let (_, root) = channel();
    network.verifier.set_config(Arc::new(read(&root).expect("a configuration")));
    let all: [(Sign, usize); 4] = [(by_number, 1), (by_number, 2), (by_number, 3), (by_creator, 4)];
    assert_eq!(network.verify(&all), Err(BlockError::NoPolicy));
}

fn unknown(
    signer: &SigningIdentity,
    _: u32,
    signed: &dyn Fn(&Bytes) -> Vec<u8>,
) -> MetadataSignature {
    by_number(signer, 99, signed)
}

fn as_first(
    signer: &SigningIdentity,
    _: u32,
    signed: &dyn Fn(&Bytes) -> Vec<u8>,
) -> MetadataSignature {
    by_number(signer, 1, signed)
}

fn nameless(_: &SigningIdentity, _: u32, _: &dyn Fn(&Bytes) -> Vec<u8>) -> MetadataSignature {
    MetadataSignature::default()
}

fn undecodable(_: &SigningIdentity, _: u32, _: &dyn Fn(&Bytes) -> Vec<u8>) -> MetadataSignature {
    let identifier_header = Bytes::from_static(b"\xff");
    MetadataSignature { identifier_header, ..MetadataSignature::default() }
}
