//! Blocks of an ordering service that tolerates Byzantine faults, signed by number.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockError, BlockVerifier, SigningIdentity, header_bytes};
use gossip_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, Consenter, Envelope, Header,
    HeaderType, IdentifierHeader, Metadata, MetadataSignature, Orderers, Payload, SignatureHeader,
};
use gossip_proto::msp::SerializedIdentity;
use gossip_proto::msp::msp_principal::Classification;
use prost::Message;

use crate::authority::Authority;
use crate::certificates::sha256;
use crate::made_channel::{
    CHANNEL, at, by, capabilities, channel, out_of, principal, read, set_policy, set_value,
    signature, signer,
};

/// §13.3, C-46, SV-54, SV-55, SV-57: what each set of signatures is worth on a channel of four
/// consenters, of whom three must sign.
#[test]
fn blocks_are_signed_by_a_quorum_of_consenters() {
    let network = Network::new("V3_0");
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
    let network = Network::new("V2_0");
    let by_numbers: [(Sign, usize); 3] = [(by_number, 1), (by_number, 2), (by_number, 3)];
    assert_eq!(network.verify(&by_numbers), Err(BlockError::NotSatisfied(0)));
    let by_creators: [(Sign, usize); 3] = [(by_creator, 1), (by_creator, 2), (by_creator, 3)];
    assert_eq!(network.verify(&by_creators), Ok(()));
    assert_eq!(network.verify(&[(undecodable, 1)]), Err(BlockError::NotSatisfied(0)));
}

/// C12.2.d, C-43, SV-61: a channel without a policy on blocks takes none.
#[test]
fn a_channel_without_a_policy_on_blocks_takes_none() {
    let network = Network::new("V3_0");
    let (_, root) = channel();
    network.verifier.set_config(Arc::new(read(&root).expect("a configuration")));
    let all: [(Sign, usize); 4] = [(by_number, 1), (by_number, 2), (by_number, 3), (by_creator, 4)];
    assert_eq!(network.verify(&all), Err(BlockError::NoPolicy));
}

struct Network {
    consenters: Vec<SigningIdentity>,
    verifier: BlockVerifier,
}

impl Network {
    fn new(capability: &str) -> Self {
        let (authority, mut root) = channel();
        set_value(&mut root, "Capabilities", &capabilities(capability));
        let consenters: Vec<_> = (0..4).map(|_| consenter(&authority)).collect();
        let orderer = at(&mut root, "Orderer");
        let describe = |(index, consenter): (usize, &SigningIdentity)| {
            let identity = SerializedIdentity::decode(&consenter.serialized()[..]);
            let SerializedIdentity { mspid, id_bytes } = identity.expect("an identity");
            let id = index as u32 + 1;
            Consenter { id, msp_id: mspid, identity: id_bytes, ..Consenter::default() }
        };
        let consenter_mapping = consenters.iter().enumerate().map(describe).collect();
        set_value(orderer, "Orderers", &Orderers { consenter_mapping });
        let identities = consenters
            .iter()
            .map(|c| principal(Classification::Identity, c.serialized().to_vec()))
            .collect();
        let quorum = signature(out_of(3, [by(0), by(1), by(2), by(3)]), identities);
        set_policy(orderer, "BlockValidation", Some(quorum));
        let config = read(&root).expect("a configuration");
        assert_eq!(config.consenters().len(), 4);
        let verifier = BlockVerifier::new();
        verifier.set_config(Arc::new(config));
        Self { consenters, verifier }
    }

    /// Verifies a block with a signature of each of these consenters, counted from 1.
    fn verify(&self, signatures: Signatures<'_>) -> Result<(), BlockError> {
        let transaction = transaction();
        let data_hash = sha256(&transaction).into();
        let header = BlockHeader { number: 7, previous_hash: Bytes::new(), data_hash };
        let value = Bytes::from_static(b"value");
        let sign = |&(sign, number): &(Sign, usize)| {
            let signed =
                |own_header: &Bytes| [&value[..], own_header, &header_bytes(&header)].concat();
            sign(&self.consenters[number - 1], number as u32, &signed)
        };
        let signatures = signatures.iter().map(sign).collect();
        let metadata = Metadata { value: value.clone(), signatures };
        let block = Block {
            header: Some(header.clone()),
            data: Some(BlockData { data: vec![transaction.into()] }),
            metadata: Some(BlockMetadata { metadata: vec![metadata.encode_to_vec().into()] }),
        };
        self.verifier.verify(CHANNEL, 7, &block.encode_to_vec().into())
    }
}

/// Makes the signature of a consenter with a number; the function gives what is signed with a
/// header of its own.
type Sign = fn(&SigningIdentity, u32, &dyn Fn(&Bytes) -> Vec<u8>) -> MetadataSignature;

/// Who signs and how, each a consenter counted from 1.
type Signatures<'a> = &'a [(Sign, usize)];

fn by_number(
    signer: &SigningIdentity,
    identifier: u32,
    signed: &dyn Fn(&Bytes) -> Vec<u8>,
) -> MetadataSignature {
    let header = IdentifierHeader { identifier, nonce: Bytes::from_static(b"nonce") };
    let identifier_header = Bytes::from(header.encode_to_vec());
    let signature = signer.sign(&signed(&identifier_header)).expect("signing").into();
    MetadataSignature { signature_header: Bytes::new(), signature, identifier_header }
}

fn by_creator(
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

/// A transaction in the form that Fabric asks for.
fn transaction() -> Vec<u8> {
    let header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        channel_id: CHANNEL.into(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: Bytes::from_static(b"data") };
    let signature = Bytes::from_static(b"signature");
    Envelope { payload: payload.encode_to_vec().into(), signature }.encode_to_vec()
}
