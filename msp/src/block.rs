//! Whether a block that a peer sent is one the ordering service made.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use bytes::Bytes;
use gossip_proto::common::{
    Block, BlockHeader, IdentifierHeader, Metadata, MetadataSignature, SignatureHeader,
};
use prost::{DecodeError, Message};

use crate::certificate::sha256;
use crate::channel_config::{BLOCK_VALIDATION, ChannelConfig};
use crate::identities::{Identities, SignedData};
use crate::msp::Msp;
use crate::policy::PolicyError;
use crate::transaction::{channel_header, is_canonical};
use crate::wire::{all_bytes_of, count_of};

/// Why a block was refused, in the order of the checks (C-44).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlockError {
    /// The bytes are not a block.
    Undecodable,
    /// There are so many parts that reading them would take many times the memory of the block.
    TooManyParts(usize),
    /// There is no header.
    NoHeader,
    /// The header has this number instead of the one claimed.
    WrongNumber(u64),
    /// There is no transaction.
    NoTransactions,
    /// The first transaction has no readable channel header.
    NoChannelHeader,
    /// The first transaction belongs to another channel.
    WrongChannel,
    /// The hash of the block before is another one.
    WrongPreviousHash,
    /// There is no metadata.
    NoMetadata,
    /// There are so many slots of metadata instead of five.
    TooFewSlots(usize),
    /// This transaction, counted from zero, is not an envelope in the one form allowed.
    MalformedTransaction(usize),
    /// The hash of the transactions is not the one in the header.
    WrongDataHash,
    /// The channel's configuration is not known.
    UnknownChannel,
    /// The signatures in the metadata, or the header of one, cannot be decoded.
    UndecodableSignatures,
    /// There are more signatures than anybody has orderers.
    TooManySignatures(usize),
    /// The channel has no policy on blocks, so no block satisfies it (C-43).
    NoPolicy,
    /// So many different valid identities signed, who do not satisfy the policy on blocks.
    NotSatisfied(usize),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable => f.write_str("not a block"),
            Self::TooManyParts(count) => {
                write!(
                    f,
                    "{count} transactions and slots of metadata, expected at most {PARTS_MAX}"
                )
            }
            Self::NoHeader => f.write_str("no header"),
            Self::WrongNumber(number) => write!(f, "number {number} is not the one claimed"),
            Self::NoTransactions => f.write_str("no transactions"),
            Self::NoChannelHeader => f.write_str("no channel header in the first transaction"),
            Self::WrongChannel => f.write_str("first transaction belongs to another channel"),
            Self::WrongPreviousHash => f.write_str("hash of the block before is another one"),
            Self::NoMetadata => f.write_str("no metadata"),
            Self::TooFewSlots(count) => {
                write!(f, "{count} slots of metadata, expected at least 5")
            }
            Self::MalformedTransaction(index) => {
                write!(f, "transaction {index} is not an envelope in the one form allowed")
            }
            Self::WrongDataHash => {
                f.write_str("hash of the transactions differs from the header's")
            }
            Self::UnknownChannel => f.write_str("configuration of the channel is not known"),
            Self::UndecodableSignatures => f.write_str("undecodable signatures"),
            Self::TooManySignatures(count) => {
                write!(f, "{count} signatures, expected at most {SIGNATURES_MAX}")
            }
            Self::NoPolicy => write!(f, "no policy {BLOCK_VALIDATION}"),
            Self::NotSatisfied(signers) => {
                write!(f, "policy on blocks is not satisfied by {signers} valid signers")
            }
        }
    }
}

impl std::error::Error for BlockError {}

/// Verifies blocks that come from other peers; used from any thread.
///
/// As Fabric does for gossip, with the configuration that the channel has at the moment (§13.6).
/// The chain of previous hashes is not checked here. Genesis blocks carry no signature, so none
/// verifies: they come from whoever joins the node to the channel.
#[derive(Debug, Default)]
pub struct BlockVerifier {
    channels: RwLock<BTreeMap<String, Arc<Rules>>>,
}

/// Whose signatures make a block of one channel valid.
#[derive(Debug)]
pub(crate) enum Rules {
    /// Those that the channel's policy on blocks asks for.
    Configured(Arc<ChannelConfig>),
    /// Those of so many different identities.
    Count { identities: Identities, signers_min: usize },
}

impl BlockVerifier {
    /// Knows no channel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges the blocks of a channel by its configuration.
    pub fn set_config(&self, config: Arc<ChannelConfig>) {
        self.insert(config.channel().to_owned(), Rules::Configured(config));
    }

    /// Judges the blocks of a channel without a configuration, such as one made up by a test: so
    /// many different members of these organisations must sign, at least one.
    pub fn set_channel(
        &self,
        channel: &str,
        orderers: impl IntoIterator<Item = Msp>,
        signers_min: usize,
    ) {
        let identities = Identities::new(orderers);
        self.insert(
            channel.to_owned(),
            Rules::Count { identities, signers_min: signers_min.max(1) },
        );
    }

    /// Forgets a channel, of which no block verifies any more.
    pub fn remove_channel(&self, channel: &str) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(channel);
    }

    /// Verifies a serialized block, which claims to be this one of this channel.
    ///
    /// # Errors
    ///
    /// The first check, in Fabric's order, that fails (C-44, CH-50).
    pub fn verify(&self, channel: &str, number: u64, block: &Bytes) -> Result<(), BlockError> {
        let block = decode(block)?;
        let header = block.header.ok_or(BlockError::NoHeader)?;
        if header.number != number {
            return Err(BlockError::WrongNumber(header.number));
        }
        let transactions = block.data.unwrap_or_default().data;
        let metadata = block.metadata.unwrap_or_default().metadata;
        check_data(channel, &header, &transactions, metadata.len())?;
        let rules = {
            let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
            channels.get(channel).cloned().ok_or(BlockError::UnknownChannel)?
        };
        rules.check_signatures(&header, &metadata[0])
    }

    fn insert(&self, channel: String, rules: Rules) {
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        channels.insert(channel, Arc::new(rules));
    }
}

impl Rules {
    pub(crate) fn check_signatures(
        &self,
        header: &BlockHeader,
        slot: &Bytes,
    ) -> Result<(), BlockError> {
        let undecodable = |_| BlockError::UndecodableSignatures;
        let count = count_of(slot, METADATA_SIGNATURES);
        if count > SIGNATURES_MAX {
            return Err(BlockError::TooManySignatures(count));
        }
        let Metadata { value, signatures } = Metadata::decode(slot.clone()).map_err(undecodable)?;
        let header = header_bytes(header);
        let mut signed = Vec::with_capacity(signatures.len());
        for entry in &signatures {
            if let Some((signer, entry_header)) = self.signer(entry).map_err(undecodable)? {
                let message = [&value[..], entry_header, &header].concat();
                signed.push((signer, message, &entry.signature));
            }
        }
        let signed = signed.iter().map(|(identity, message, signature)| SignedData {
            identity,
            message,
            signature,
        });
        self.judge(&signed.collect::<Vec<_>>())
    }

    /// Who is said to have made a signature, and the header that is signed with the block;
    /// `None` for a consenter that the channel does not have (C-46).
    fn signer<'a>(
        &self,
        entry: &'a MetadataSignature,
    ) -> Result<Option<(Bytes, &'a [u8])>, DecodeError> {
        let MetadataSignature { signature_header, identifier_header, .. } = entry;
        match self {
            Self::Configured(config)
                if config.has_channel_capability(IDENTIFIER_HEADERS)
                    && signature_header.is_empty()
                    && !identifier_header.is_empty() =>
            {
                let number = IdentifierHeader::decode(identifier_header.clone())?.identifier;
                let identity = config.consenter_identity(number).cloned();
                Ok(identity.map(|identity| (identity, &identifier_header[..])))
            }
            Self::Configured(_) | Self::Count { .. } => {
                let creator = SignatureHeader::decode(signature_header.clone())?.creator;
                Ok(Some((creator, signature_header)))
            }
        }
    }

    fn judge(&self, signed: &[SignedData<'_>]) -> Result<(), BlockError> {
        match self {
            Self::Configured(config) => {
                config.evaluate(BLOCK_VALIDATION, signed).map_err(|error| match error {
                    PolicyError::Missing(_) => BlockError::NoPolicy,
                    PolicyError::NotSatisfied { signers, .. } => BlockError::NotSatisfied(signers),
                })
            }
            Self::Count { identities, signers_min } => {
                let signers = identities.signers(signed).len();
                match signers >= *signers_min {
                    true => Ok(()),
                    false => Err(BlockError::NotSatisfied(signers)),
                }
            }
        }
    }
}

/// Decodes a block, counting first: an empty transaction takes 2 bytes in it, and 32 in memory.
pub(crate) fn decode(bytes: &Bytes) -> Result<Block, BlockError> {
    let parts = |part| all_bytes_of(bytes, part).map(|part| count_of(part, BLOCK_PART_ITEMS));
    let count = parts(BLOCK_DATA).chain(parts(BLOCK_METADATA)).sum();
    if count > PARTS_MAX {
        return Err(BlockError::TooManyParts(count));
    }
    Block::decode(bytes.clone()).map_err(|_| BlockError::Undecodable)
}

/// SHA-256 over [`header_bytes`]: the next block's previous hash.
#[must_use]
pub fn header_hash(header: &BlockHeader) -> [u8; 32] {
    sha256(&header_bytes(header))
}

/// The DER of a block header, which orderers sign (C-45).
#[must_use]
pub fn header_bytes(header: &BlockHeader) -> Vec<u8> {
    let number = header.number.to_be_bytes();
    let zeros = number.iter().take(number.len() - 1).take_while(|&&byte| byte == 0).count();
    let mut integer = number[zeros..].to_vec();
    if integer[0] >= 0x80 {
        integer.insert(0, 0); // Without it the number would be negative.
    }
    let mut content = Vec::new();
    push_der(&mut content, DER_INTEGER, &integer);
    push_der(&mut content, DER_OCTET_STRING, &header.previous_hash);
    push_der(&mut content, DER_OCTET_STRING, &header.data_hash);
    let mut der = Vec::new();
    push_der(&mut der, DER_SEQUENCE, &content);
    der
}

fn push_der(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    if value.len() < 0x80 {
        out.push(value.len() as u8);
    } else {
        let length = value.len().to_be_bytes();
        let zeros = length.iter().take_while(|&&byte| byte == 0).count();
        out.push(0x80 | (length.len() - zeros) as u8);
        out.extend(&length[zeros..]);
    }
    out.extend(value);
}

/// SHA-256 over all transactions, one after the other.
pub(crate) fn data_hash(transactions: &[Bytes]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for transaction in transactions {
        context.update(transaction);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The checks that need no knowledge of the channel but its name.
fn check_data(
    channel: &str,
    header: &BlockHeader,
    transactions: &[Bytes],
    metadata_slots: usize,
) -> Result<(), BlockError> {
    let first = transactions.first().ok_or(BlockError::NoTransactions)?;
    let first = channel_header(first).ok_or(BlockError::NoChannelHeader)?;
    if first.channel != channel.as_bytes() {
        return Err(BlockError::WrongChannel);
    }
    if metadata_slots == 0 {
        return Err(BlockError::NoMetadata);
    }
    check_transactions(header, transactions, first.is_config)
}

/// The checks of form and hash; a lone configuration may have any form (SV-53).
pub(crate) fn check_transactions(
    header: &BlockHeader,
    transactions: &[Bytes],
    is_first_config: bool,
) -> Result<(), BlockError> {
    let is_config_block = is_first_config && transactions.len() == 1;
    if !is_config_block {
        let malformed = transactions.iter().position(|transaction| !is_canonical(transaction));
        malformed.map_or(Ok(()), |index| Err(BlockError::MalformedTransaction(index)))?;
    }
    match data_hash(transactions)[..] == header.data_hash[..] {
        true => Ok(()),
        false => Err(BlockError::WrongDataHash),
    }
}

const DER_INTEGER: u8 = 0x02;
const DER_OCTET_STRING: u8 = 0x04;
const DER_SEQUENCE: u8 = 0x30;

// Numbers of fields.
const BLOCK_DATA: u32 = 2;
const BLOCK_METADATA: u32 = 3;
const BLOCK_PART_ITEMS: u32 = 1;
const METADATA_SIGNATURES: u32 = 2;

/// The most transactions and slots of metadata in one block, many times what orderers put there.
const PARTS_MAX: usize = 1 << 20;

/// The capability of a channel whose orderers may sign by their number.
const IDENTIFIER_HEADERS: &str = "V3_0";

/// No ordering service has more members; each signature costs a verification.
const SIGNATURES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// C-45: numbers are minimal and never negative, lengths have the shortest form.
    #[test]
    fn header_bytes_are_der() {
        let bytes = |number, hash: &'static [u8]| {
            let (previous_hash, data_hash) = (Bytes::from_static(hash), Bytes::new());
            header_bytes(&BlockHeader { number, previous_hash, data_hash })
        };
        assert_eq!(bytes(0, &[]), [0x30, 7, 2, 1, 0, 4, 0, 4, 0]);
        assert_eq!(bytes(127, &[]), [0x30, 7, 2, 1, 127, 4, 0, 4, 0]);
        assert_eq!(bytes(128, &[9]), [0x30, 9, 2, 2, 0, 128, 4, 1, 9, 4, 0]);
        assert_eq!(bytes(256, &[]), [0x30, 8, 2, 2, 1, 0, 4, 0, 4, 0]);
        assert_eq!(bytes(u64::MAX, &[])[..5], [0x30, 15, 2, 9, 0]);
        assert_eq!(bytes(0, &[7; 200])[..9], [0x30, 0x81, 208, 2, 1, 0, 4, 0x81, 200]);
        assert_eq!(bytes(0, &[7; 300])[..5], [0x30, 0x82, 1, 0x35, 2]);
    }
}
