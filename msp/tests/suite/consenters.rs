//! Blocks of an ordering service that tolerates Byzantine faults, signed by number.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockError, BlockVerifier, SigningIdentity, header_bytes};
use gossip_proto::common::signature_policy::{NOutOf, Type};
use gossip_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, Consenter, Envelope, Header,
    HeaderType, IdentifierHeader, Metadata, MetadataSignature, Orderers, Payload, SignatureHeader,
    SignaturePolicy,
};
use gossip_proto::msp::SerializedIdentity;
use gossip_proto::msp::msp_principal::Classification;
use prost::Message;

use crate::authority::Authority;
use crate::certificates::sha256;
use crate::made_channel::{
    CHANNEL, at, by, capabilities, channel, principal, read, set_policy, set_value, signature,
    signer,
};

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

/// A channel whose blocks a quorum of consenters must sign.
pub(crate) struct Network {
    consenters: Vec<SigningIdentity>,
    verifier: BlockVerifier,
}

impl Network {
    pub(crate) fn new(capability: &str, count: usize) -> Self {
        let (authority, mut root) = channel();
        set_value(&mut root, "Capabilities", &capabilities(capability));
        let consenters: Vec<_> = (0..count).map(|_| consenter(&authority)).collect();
        let network = Self { consenters, verifier: BlockVerifier::new() };
        let orderer = at(&mut root, "Orderer");
        let describe = |(index, consenter): (usize, &SigningIdentity)| {
            let identity = SerializedIdentity::decode(&consenter.serialized()[..]);
            let SerializedIdentity { mspid, id_bytes } = identity.expect("an identity");
            let id = index as u32 + 1;
            Consenter { id, msp_id: mspid, identity: id_bytes, ..Consenter::default() }
        };
        let consenter_mapping = network.consenters.iter().enumerate().map(describe).collect();
        set_value(orderer, "Orderers", &Orderers { consenter_mapping });
        let identities = network.consenters.iter();
        let identities = identities
            .map(|c| principal(Classification::Identity, c.serialized().to_vec()))
            .collect();
        let rules = (0..count as i32).map(by).collect();
        let rule = NOutOf { n: network.quorum() as i32, rules };
        let quorum = SignaturePolicy { r#type: Some(Type::NOutOf(rule)) };
        set_policy(orderer, "BlockValidation", Some(signature(quorum, identities)));
        let config = read(&root).expect("a configuration");
        assert_eq!(config.consenters().len(), count);
        network.verifier.set_config(Arc::new(config));
        network
    }

    /// How many must sign, so that two quorums have an honest consenter in common.
    pub(crate) fn quorum(&self) -> usize {
        let count = self.consenters.len();
        let faulty = (count - 1) / 3;
        (count + faulty + 1).div_ceil(2)
    }

    /// Verifies a block with a signature of each of these consenters, counted from 1.
    pub(crate) fn verify(&self, signatures: Signatures<'_>) -> Result<(), BlockError> {
        self.judge(7, &self.block(&[transaction(CHANNEL).into()], signatures))
    }

    /// Makes block 7 of these transactions, signed by these consenters.
    pub(crate) fn block(&self, transactions: &[Bytes], signatures: Signatures<'_>) -> Bytes {
        self.block_with(&Bytes::from_static(b"value"), transactions, signatures)
    }

    /// Makes a block in whose metadata the ordering service says this.
    pub(crate) fn block_with(
        &self,
        value: &Bytes,
        transactions: &[Bytes],
        signatures: Signatures<'_>,
    ) -> Bytes {
        let data_hash = sha256(&transactions.concat()).into();
        let previous_hash = Bytes::from_static(b"whatever");
        let header = BlockHeader { number: 7, previous_hash, data_hash };
        let sign = |&(sign, number): &(Sign, usize)| {
            let signed =
                |own_header: &Bytes| [&value[..], own_header, &header_bytes(&header)].concat();
            sign(&self.consenters[number - 1], number as u32, &signed)
        };
        let signatures = signatures.iter().map(sign).collect();
        let metadata = Metadata { value: value.clone(), signatures };
        let block = Block {
            header: Some(header.clone()),
            data: Some(BlockData { data: transactions.to_vec() }),
            metadata: Some(BlockMetadata { metadata: vec![metadata.encode_to_vec().into()] }),
        };
        block.encode_to_vec().into()
    }

    /// Verifies a block that claims to have this number.
    pub(crate) fn judge(&self, number: u64, block: &Bytes) -> Result<(), BlockError> {
        self.verifier.verify(CHANNEL, number, block)
    }
}

/// Makes the signature of a consenter with a number; the function gives what is signed with a
/// header of its own.
pub(crate) type Sign = fn(&SigningIdentity, u32, &dyn Fn(&Bytes) -> Vec<u8>) -> MetadataSignature;

/// Who signs and how, each a consenter counted from 1.
pub(crate) type Signatures<'a> = &'a [(Sign, usize)];

pub(crate) fn by_number(
    signer: &SigningIdentity,
    identifier: u32,
    signed: &dyn Fn(&Bytes) -> Vec<u8>,
) -> MetadataSignature {
    let header = IdentifierHeader { identifier, nonce: Bytes::from_static(b"nonce") };
    let identifier_header = Bytes::from(header.encode_to_vec());
    let signature = signer.sign(&signed(&identifier_header)).expect("signing").into();
    MetadataSignature { signature_header: Bytes::new(), signature, identifier_header }
}

pub(crate) fn by_creator(
    signer: &SigningIdentity,
    _: u32,
    signed: &dyn Fn(&Bytes) -> Vec<u8>,
) -> MetadataSignature {
    let nonce = Bytes::from_static(b"nonce");
    let header = SignatureHeader { creator: signer.serialized().clone(), nonce };
    let signature_header = Bytes::from(header.encode_to_vec());
    let signature = signer.sign(&signed(&signature_header)).expect("signing").into();
    MetadataSignature { signature_header, signature, identifier_header: Bytes::new() }
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

fn consenter(authority: &Authority) -> SigningIdentity {
    signer("OMSP", &authority.member(|_| ()))
}

/// A transaction of a channel in the form that Fabric asks for.
pub(crate) fn transaction(channel: &str) -> Vec<u8> {
    let header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        channel_id: channel.into(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: Bytes::from_static(b"data") };
    let signature = Bytes::from_static(b"signature");
    Envelope { payload: payload.encode_to_vec().into(), signature }.encode_to_vec()
}
