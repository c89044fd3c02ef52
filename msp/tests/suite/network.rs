//! A channel whose blocks are signed by consenters that tolerate Byzantine faults.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockError, BlockVerifier, ChannelConfig, SigningIdentity, header_bytes};
use gossip_proto::common::signature_policy::{NOutOf, Type};
use gossip_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, ConfigGroup, Consenter, Envelope,
    Header, HeaderType, IdentifierHeader, Metadata, MetadataSignature, Orderers, Payload,
    SignatureHeader, SignaturePolicy,
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

/// A channel whose blocks a quorum of consenters must sign.
pub(crate) struct Network {
    pub(crate) consenters: Vec<SigningIdentity>,
    /// Its configuration, as a tree and as it is read.
    pub(crate) root: ConfigGroup,
    pub(crate) config: Arc<ChannelConfig>,
    pub(crate) verifier: BlockVerifier,
}

impl Network {
    pub(crate) fn new(capability: &str, count: usize) -> Self {
        let (authority, mut root) = channel();
        set_value(&mut root, "Capabilities", &capabilities(capability));
        let consenters: Vec<_> = (0..count).map(|_| consenter(&authority)).collect();
        let orderer = at(&mut root, "Orderer");
        let describe = |(index, consenter): (usize, &SigningIdentity)| {
            let identity = SerializedIdentity::decode(&consenter.serialized()[..]);
            let SerializedIdentity { mspid, id_bytes } = identity.expect("an identity");
            let id = index as u32 + 1;
            Consenter { id, msp_id: mspid, identity: id_bytes, ..Consenter::default() }
        };
        let consenter_mapping = consenters.iter().enumerate().map(describe).collect();
        set_value(orderer, "Orderers", &Orderers { consenter_mapping });
        let identities = consenters.iter();
        let identities = identities
            .map(|c| principal(Classification::Identity, c.serialized().to_vec()))
            .collect();
        let rules = (0..count as i32).map(by).collect();
        let rule = NOutOf { n: quorum_of(count) as i32, rules };
        let quorum = SignaturePolicy { r#type: Some(Type::NOutOf(rule)) };
        set_policy(orderer, "BlockValidation", Some(signature(quorum, identities)));
        let config = Arc::new(read(&root).expect("a configuration"));
        assert_eq!(config.consenters().len(), count);
        let verifier = BlockVerifier::new();
        verifier.set_config(Arc::clone(&config));
        Self { consenters, root, config, verifier }
    }

    /// How many must sign.
    pub(crate) fn quorum(&self) -> usize {
        quorum_of(self.consenters.len())
    }

    /// Verifies a block with a signature of each of these consenters, counted from 1.
    pub(crate) fn verify(&self, signatures: Signatures<'_>) -> Result<(), BlockError> {
        self.judge(7, &self.block(&[transaction(CHANNEL).into()], signatures))
    }

    /// Makes block 7 of these transactions, signed by these consenters.
    pub(crate) fn block(&self, transactions: &[Bytes], signatures: Signatures<'_>) -> Bytes {
        self.make(&Draft::default(), transactions, signatures)
    }

    /// Makes a block of these transactions, signed by these consenters.
    pub(crate) fn make(
        &self,
        draft: &Draft,
        transactions: &[Bytes],
        signatures: Signatures<'_>,
    ) -> Bytes {
        let Draft { number, previous_hash, value, slots } = draft.clone();
        let data_hash = sha256(&transactions.concat()).into();
        let header = BlockHeader { number, previous_hash, data_hash };
        let sign = |&(sign, number): &(Sign, usize)| {
            let signed =
                |own_header: &Bytes| [&value[..], own_header, &header_bytes(&header)].concat();
            sign(&self.consenters[number - 1], number as u32, &signed)
        };
        let signatures = signatures.iter().map(sign).collect();
        let first = Metadata { value: value.clone(), signatures };
        let mut metadata = vec![Bytes::new(); slots];
        metadata[0] = first.encode_to_vec().into();
        let block = Block {
            header: Some(header.clone()),
            data: Some(BlockData { data: transactions.to_vec() }),
            metadata: Some(BlockMetadata { metadata }),
        };
        block.encode_to_vec().into()
    }

    /// Verifies a block that claims to have this number.
    pub(crate) fn judge(&self, number: u64, block: &Bytes) -> Result<(), BlockError> {
        self.verifier.verify(CHANNEL, number, block)
    }
}

/// What is in a block besides transactions and signatures.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) number: u64,
    pub(crate) previous_hash: Bytes,
    /// What the ordering service says in the metadata.
    pub(crate) value: Bytes,
    /// Slots of metadata, at least one.
    pub(crate) slots: usize,
}

impl Default for Draft {
    fn default() -> Self {
        let previous_hash = Bytes::from_static(b"whatever");
        Self { number: 7, previous_hash, value: Bytes::from_static(b"value"), slots: 1 }
    }
}

/// The least number of which any two sets have an honest consenter in common.
fn quorum_of(count: usize) -> usize {
    let faulty = (count - 1) / 3;
    (count + faulty + 1).div_ceil(2)
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

fn consenter(authority: &Authority) -> SigningIdentity {
    signer("OMSP", &authority.member(|_| ()))
}

/// A transaction of a channel in the form that Fabric asks for.
pub(crate) fn transaction(channel: &str) -> Vec<u8> {
    transaction_of(channel, b"data")
}

/// A transaction with this content.
pub(crate) fn transaction_of(channel: &str, data: &[u8]) -> Vec<u8> {
    let header = ChannelHeader {
        r#type: HeaderType::EndorserTransaction.into(),
        channel_id: channel.into(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: Bytes::copy_from_slice(data) };
    let signature = Bytes::from_static(b"signature");
    Envelope { payload: payload.encode_to_vec().into(), signature }.encode_to_vec()
}
