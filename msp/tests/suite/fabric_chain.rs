//! Blocks of a real ordering service: all verify, and no tampered one does.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{
    AccessError, BlockError, BlockVerifier, ChannelConfig, Identities, Msp, Organisation,
    PolicyError, READERS, VerifyError, header_hash, is_config_block,
};
use gossip_proto::common::{
    Block, Envelope, Metadata, MetadataSignature, Payload, SignatureHeader,
};
use gossip_proto::msp::SerializedIdentity;
use prost::Message;

use crate::chain::{data, recorded_chain};

/// C-44, C-45: every signed block verifies under the channel's own policy on blocks, and each names
/// the header hash of the one before.
///
/// The genesis block is right in all but that nobody signs genesis blocks.
#[test]
fn all_signed_blocks_verify_and_form_a_chain_on_the_genesis_block() {
    let (chain, verifier) = recorded();
    assert_eq!(chain.len(), 68);
    let mut previous_hash = Bytes::new();
    for (number, block) in chain.iter().enumerate() {
        let expected = if number == 0 { Err(BlockError::NotSatisfied(0)) } else { Ok(()) };
        assert_eq!(verifier.verify(CHANNEL, number as u64, block), expected, "block {number}");
        let header = Block::decode(block.clone()).expect("a block").header.expect("a header");
        assert_eq!(header.previous_hash, previous_hash, "block {number}");
        previous_hash = Bytes::copy_from_slice(&header_hash(&header));
    }
}

#[test]
fn the_genesis_block_names_organisations_anchors_and_orderers() {
    let config = ChannelConfig::from_block(&recorded_chain()[0]).expect("a configuration");
    assert_eq!((config.channel(), config.sequence()), (CHANNEL, 0));
    let of = |organisations: &[Organisation]| {
        let describe = |organisation: &Organisation| {
            let Organisation { name, mspid, msp, tls_authorities, .. } = organisation;
            assert_eq!(msp.as_ref().map(Msp::id), Some(mspid.as_str()));
            assert!(tls_authorities.iter().all(|pem| pem.starts_with(b"-----BEGIN CERTIFICATE")));
            assert_eq!(tls_authorities.len(), 1);
            let anchors = organisation.anchors.iter();
            let anchors = anchors.map(|anchor| format!("{}:{}", anchor.host, anchor.port));
            let addresses: Vec<_> = anchors.chain(organisation.endpoints.iter().cloned()).collect();
            format!("{name} {mspid} {}", addresses.join(" "))
        };
        organisations.iter().map(describe).collect::<Vec<_>>()
    };
    let members = ["Org1MSP Org1MSP 127.0.0.1:7051", "Org2MSP Org2MSP 127.0.0.1:9051"];
    assert_eq!(of(config.members()), members);
    assert_eq!(of(config.orderers()), ["OrdererOrg OrdererMSP 127.0.0.1:7050"]);
    assert_eq!(config.msps().map(|msp| msp.id().to_owned()).collect::<Vec<_>>(), MSPIDS);
    assert_eq!((config.consensus_type(), config.consenters().len()), ("etcdraft", 0));
    assert!(config.orderer_addresses().is_empty());
    let channel = ["V2_0", "V3_0"].map(|name| config.has_channel_capability(name));
    let application = ["V2_0", "V2_5"].map(|name| config.has_application_capability(name));
    assert_eq!((channel, application), ([false, true], [false, true]));
}

/// SV-9: the recorded updates change the ordering service only, so gossip has nothing to learn.
#[test]
fn each_configuration_of_the_chain_follows_the_one_before() {
    let chain = recorded_chain();
    let mut config = ChannelConfig::from_block(&chain[0]).expect("a configuration");
    let mut config_blocks = Vec::new();
    for (number, block) in chain.iter().enumerate().skip(1) {
        let next = config.update(block);
        assert_eq!(is_config_block(block), next.is_ok(), "block {number}");
        let Ok(next) = next else { continue };
        assert_eq!(next.sequence(), config.sequence() + 1);
        assert!(next.has_same_members(&config));
        config_blocks.push(number);
        config = next;
    }
    assert_eq!(config_blocks, [13, 41, 42]);
    let error = config.update(&chain[13]).expect_err("long past").to_string();
    assert_eq!(error, "sequence: is 1, expected the one after 3");
}

/// C12.2.a, C12.2.d: by the recorded Readers policies a peer may read, and an orderer may not.
#[test]
fn the_readers_of_the_channel_are_what_its_policies_say() {
    let chain = recorded_chain();
    let config = ChannelConfig::from_block(&chain[0]).expect("a configuration");
    let block = Block::decode(chain[NUMBER as usize].clone()).expect("a block");
    let header = gossip_msp::header_bytes(&block.header.expect("a header"));
    let slot = block.metadata.expect("metadata").metadata[0].clone();
    let slot = Metadata::decode(slot).expect("signatures");
    let signed = &slot.signatures[0];
    let message = [&slot.value[..], &signed.signature_header, &header].concat();
    let orderer = SignatureHeader::decode(signed.signature_header.clone()).expect("a header");
    let check = |policy: &str, message: &[u8]| {
        config.check_access(policy, &orderer.creator, message, &signed.signature)
    };
    let missing = |policy: &str| AccessError::Policy(PolicyError::Missing(policy.into()));
    let refused = |policy: &str| {
        AccessError::Policy(PolicyError::NotSatisfied { policy: policy.into(), signers: 1 })
    };
    for (policy, expected) in [
        (READERS, Err(refused(READERS))),
        ("/Channel/Orderer/Readers", Ok(())),
        ("/Channel/Orderer/OrdererOrg/Writers", Ok(())),
        ("/Channel/Readers", Ok(())),
        ("/Channel/Orderer/Admins", Err(refused("/Channel/Orderer/Admins"))),
        ("/Channel/Orderer/None", Err(missing("/Channel/Orderer/None"))),
        ("/Channel/None/Readers", Err(missing("/Channel/None/Readers"))),
        ("/ChannelReaders", Err(missing("/ChannelReaders"))),
        ("Readers", Err(missing("Readers"))),
        ("", Err(missing(""))),
    ] {
        assert_eq!(check(policy, &message), expected, "{policy:?}");
    }
    let wrong = check("/Channel/Orderer/Readers", b"something else");
    assert!(matches!(wrong, Err(AccessError::Verify(VerifyError::Signature(_)))), "{wrong:?}");
    let nobody = config.check_access("/Channel/Readers", b"", &message, &signed.signature);
    assert!(matches!(nobody, Err(AccessError::Verify(VerifyError::Identity(_)))), "{nobody:?}");

    // A recorded transaction, which a client of a member organisation signed.
    let transaction = Block::decode(chain[NUMBER as usize].clone()).expect("a block");
    let transaction = Envelope::decode(transaction.data.expect("data").data[0].clone());
    let Envelope { payload, signature } = transaction.expect("an envelope");
    let header = Payload::decode(payload.clone()).expect("a payload").header.expect("a header");
    let client = SignatureHeader::decode(header.signature_header).expect("a header").creator;
    assert_eq!(config.check_access(READERS, &client, &payload, &signature), Ok(()));
}

#[test]
fn a_peer_of_the_channel_is_valid_by_folder_and_by_configuration() {
    let folder = data().join("orgs/org1/peer2/msp");
    let pem = std::fs::read(folder.join("signcerts/peer2.org1.example.com-cert.pem"));
    let id_bytes = pem.expect("a certificate").into();
    let identity = SerializedIdentity { mspid: "Org1MSP".into(), id_bytes }.encode_to_vec();
    let of_folder = Msp::from_folder(&folder, "Org1MSP").expect("an MSP folder");
    let config = ChannelConfig::from_block(&recorded_chain()[0]).expect("a configuration");
    let facts = Identities::new([of_folder]).validate(&identity);
    assert!(facts.is_ok(), "{facts:?}");
    assert_eq!(config.identities().validate(&identity), facts);
}

#[test]
fn a_block_that_is_no_configuration_has_none() {
    let chain = recorded_chain();
    for block in [Bytes::new(), Bytes::from_static(&[0xff]), chain[chain.len() - 1].clone()] {
        let error = ChannelConfig::from_block(&block).expect_err("no configuration");
        assert!(!error.subject.is_empty() && !is_config_block(&block));
    }
}

/// C-44, CH-50: each check of a block's structure refuses in isolation, and by name.
#[test]
fn a_block_with_one_broken_part_is_refused_for_that_part() {
    let edits: [(BlockError, Edit); 10] = [
        (BlockError::NoHeader, |block| block.header = None),
        (BlockError::WrongNumber(NUMBER + 1), |block| header(block).number += 1),
        (BlockError::NoTransactions, |block| block.data = None),
        (BlockError::NoChannelHeader, |block| set_transaction(block, 0, b"junk".to_vec())),
        (BlockError::NoMetadata, |block| block.metadata = None),
        (BlockError::MalformedTransaction(1), |block| set_transaction(block, 1, Vec::new())),
        (BlockError::WrongDataHash, |block| {
            let data = &mut block.data.as_mut().expect("data").data;
            data.swap(0, 1);
        }),
        (BlockError::WrongDataHash, |block| header(block).data_hash = Bytes::new()),
        (BlockError::NotSatisfied(0), |block| header(block).previous_hash = Bytes::new()),
        (BlockError::UndecodableSignatures, |block| set_slot(block, b"\xff".to_vec())),
    ];
    let (chain, verifier) = recorded();
    let number = NUMBER as usize;
    for (expected, edit) in edits {
        let tampered = edited(&chain[number], edit);
        assert_eq!(verifier.verify(CHANNEL, NUMBER, &tampered), Err(expected));
    }
    let cut = chain[number].slice(..chain[number].len() - 1);
    assert_eq!(verifier.verify(CHANNEL, NUMBER, &cut), Err(BlockError::Undecodable));
}

#[test]
fn a_block_of_another_or_an_unknown_channel_is_refused() {
    let (chain, verifier) = recorded();
    let block = &chain[NUMBER as usize];
    assert_eq!(verifier.verify("ch2", NUMBER, block), Err(BlockError::WrongChannel));
    verifier.remove_channel(CHANNEL);
    assert_eq!(verifier.verify(CHANNEL, NUMBER, block), Err(BlockError::UnknownChannel));
}

/// CH-51, SV-52, SV-53: bytes after an envelope are refused unless they are unknown fields or the
/// envelope is a lone configuration, where only the data hash tells.
#[test]
fn trailing_bytes_are_malformed_except_as_unknown_fields_or_in_a_configuration() {
    let (chain, verifier) = recorded();
    let with_tail = |number: u64, tail: &[u8]| {
        let tampered = edited(&chain[number as usize], |block| {
            let last = block.data.as_ref().expect("data").data.len() - 1;
            let envelope = [transaction(block, last), tail].concat();
            set_transaction(block, last, envelope);
        });
        verifier.verify(CHANNEL, number, &tampered)
    };
    let last = Block::decode(chain[NUMBER as usize].clone()).expect("a block");
    let last = last.data.expect("data").data.len() - 1;
    assert_eq!(with_tail(NUMBER, &[0]), Err(BlockError::MalformedTransaction(last)));
    assert_eq!(with_tail(NUMBER, &[0x12, 1, 1]), Err(BlockError::MalformedTransaction(last)));
    assert_eq!(with_tail(NUMBER, &[0x1a, 1, 1]), Err(BlockError::WrongDataHash));
    assert_eq!(with_tail(0, &[0x12, 1, 1]), Err(BlockError::WrongDataHash));
}

/// SV-56, SV-57: one orderer counts once, a wrong signature spoils no right one, and a signature
/// header that cannot be decoded spoils all.
#[test]
fn signers_are_counted_by_valid_signatures_of_different_orderers() {
    let (chain, verifier) = recorded();
    let verify = |edit: fn(&mut Vec<MetadataSignature>)| {
        let tampered = edited(&chain[NUMBER as usize], |block| {
            let mut slot =
                Metadata::decode(&block.metadata.as_ref().expect("metadata").metadata[0][..])
                    .expect("signatures");
            edit(&mut slot.signatures);
            set_slot(block, slot.encode_to_vec());
        });
        verifier.verify(CHANNEL, NUMBER, &tampered)
    };
    assert_eq!(verify(Vec::clear), Err(BlockError::NotSatisfied(0)));
    assert_eq!(verify(|all| all[0].signature = Bytes::new()), Err(BlockError::NotSatisfied(0)));
    assert_eq!(
        verify(|all| all[0].signature_header = Bytes::from_static(&[0xff])),
        Err(BlockError::UndecodableSignatures),
    );
    assert_eq!(
        verify(|all| all.resize(257, all[0].clone())),
        Err(BlockError::TooManySignatures(257))
    );
    let wrong_then_right: fn(&mut Vec<MetadataSignature>) = |all| {
        all.insert(0, MetadataSignature { signature: Bytes::new(), ..all[0].clone() });
    };
    assert_eq!(verify(wrong_then_right), Ok(()));

    let config = ChannelConfig::from_block(&chain[0]).expect("a configuration");
    let orderers = config.orderers()[0].msp.clone().expect("an organisation");
    verifier.set_channel(CHANNEL, [orderers], 2);
    assert_eq!(verify(|all| all.push(all[0].clone())), Err(BlockError::NotSatisfied(1)));
}

/// Whatever single byte changes, no check panics, and what is accepted has the original content.
#[test]
fn no_changed_byte_gets_other_content_accepted() {
    let (chain, verifier) = recorded();
    let original = Block::decode(chain[1].clone()).expect("a block");
    for at in 0..chain[1].len() {
        let mut changed = chain[1].to_vec();
        changed[at] ^= 1 << (at % 8);
        let changed = Bytes::from(changed);
        if verifier.verify(CHANNEL, 1, &changed).is_ok() {
            let accepted = Block::decode(changed).expect("an accepted block");
            assert_eq!(accepted.header, original.header, "byte {at}");
            assert_eq!(accepted.data, original.data, "byte {at}");
        }
    }
}

/// Members of the channel that run no ordering service sign in vain.
#[test]
fn signers_of_other_organisations_do_not_count() {
    let (chain, verifier) = recorded();
    let config = ChannelConfig::from_block(&chain[0]).expect("a configuration");
    let members = config.members().iter().filter_map(|member| member.msp.clone());
    verifier.set_channel(CHANNEL, members, 1);
    let verdict = verifier.verify(CHANNEL, NUMBER, &chain[NUMBER as usize]);
    assert_eq!(verdict, Err(BlockError::NotSatisfied(0)));
}

fn recorded() -> (Vec<Bytes>, BlockVerifier) {
    let chain = recorded_chain();
    let verifier = BlockVerifier::new();
    let config = ChannelConfig::from_block(&chain[0]).expect("a configuration");
    verifier.set_config(Arc::new(config));
    (chain, verifier)
}

fn edited(block: &Bytes, edit: impl FnOnce(&mut Block)) -> Bytes {
    let mut block = Block::decode(block.clone()).expect("a block");
    edit(&mut block);
    block.encode_to_vec().into()
}

fn header(block: &mut Block) -> &mut gossip_proto::common::BlockHeader {
    block.header.as_mut().expect("a header")
}

fn transaction(block: &Block, index: usize) -> &[u8] {
    &block.data.as_ref().expect("data").data[index]
}

fn set_transaction(block: &mut Block, index: usize, bytes: Vec<u8>) {
    block.data.as_mut().expect("data").data[index] = bytes.into();
}

fn set_slot(block: &mut Block, bytes: Vec<u8>) {
    block.metadata.as_mut().expect("metadata").metadata[0] = bytes.into();
}

type Edit = fn(&mut Block);

const CHANNEL: &str = "ch1";
const MSPIDS: [&str; 3] = ["OrdererMSP", "Org1MSP", "Org2MSP"];
/// A block of several transactions.
const NUMBER: u64 = 46;
