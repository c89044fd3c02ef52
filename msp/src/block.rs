//! Whether a block that a peer sent is one the ordering service made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use bytes::Bytes;
use gossip_proto::common::{Block, BlockHeader, Metadata, SignatureHeader};
use prost::Message;

use crate::certificate::sha256;
use crate::identities::Identities;
use crate::msp::Msp;
use crate::transaction::{channel_header, is_canonical};

/// Why a block was refused, in the order of the checks (C-44).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlockError {
    /// The bytes are not a block.
    Undecodable,
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
    /// There is no metadata.
    NoMetadata,
    /// This transaction, counted from zero, is not an envelope in the one form allowed.
    MalformedTransaction(usize),
    /// The hash of the transactions is not the one in the header.
    WrongDataHash,
    /// The channel's ordering service is not known.
    UnknownChannel,
    /// The signatures in the metadata, or the header of one, cannot be decoded.
    UndecodableSignatures,
    /// There are more signatures than anybody has orderers.
    TooManySignatures(usize),
    /// So many orderers signed, fewer than demanded.
    TooFewSigners(usize),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable => f.write_str("not a block"),
            Self::NoHeader => f.write_str("no header"),
            Self::WrongNumber(number) => write!(f, "number {number} is not the one claimed"),
            Self::NoTransactions => f.write_str("no transactions"),
            Self::NoChannelHeader => f.write_str("no channel header in the first transaction"),
            Self::WrongChannel => f.write_str("first transaction belongs to another channel"),
            Self::NoMetadata => f.write_str("no metadata"),
            Self::MalformedTransaction(index) => {
                write!(f, "transaction {index} is not an envelope in the one form allowed")
            }
            Self::WrongDataHash => {
                f.write_str("hash of the transactions differs from the header's")
            }
            Self::UnknownChannel => f.write_str("ordering service of the channel is not known"),
            Self::UndecodableSignatures => f.write_str("undecodable signatures"),
            Self::TooManySignatures(count) => {
                write!(f, "{count} signatures, expected at most {SIGNATURES_MAX}")
            }
            Self::TooFewSigners(count) => write!(f, "only {count} orderers signed"),
        }
    }
}

impl std::error::Error for BlockError {}

/// Verifies blocks that come from other peers; used from any thread.
///
/// The signature rule is a count: enough different valid identities of the channel's orderer
/// organisations. One is what Fabric's default policy `ANY Writers` demands of a crash-tolerant
/// ordering service. The channel's own `BlockValidation` policy is **not** evaluated, and the
/// identifier headers of Byzantine-tolerant ordering are not honoured: on channels with another
/// policy this verifier can accept a block that Fabric refuses. The chain of previous hashes is
/// not checked here. Genesis blocks carry no signature, so none verifies: they come from whoever
/// joins the node to the channel.
#[derive(Debug, Default)]
pub struct BlockVerifier {
    channels: RwLock<BTreeMap<String, Arc<Orderers>>>,
}

#[derive(Debug)]
struct Orderers {
    identities: Identities,
    signers_min: usize,
}

impl BlockVerifier {
    /// Knows no channel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who may sign blocks of a channel and how many different ones must, at least one.
    pub fn set_channel(
        &self,
        channel: &str,
        orderers: impl IntoIterator<Item = Msp>,
        signers_min: usize,
    ) {
        let orderers =
            Orderers { identities: Identities::new(orderers), signers_min: signers_min.max(1) };
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        channels.insert(channel.to_owned(), Arc::new(orderers));
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
        let block = Block::decode(block.clone()).map_err(|_| BlockError::Undecodable)?;
        let header = block.header.ok_or(BlockError::NoHeader)?;
        if header.number != number {
            return Err(BlockError::WrongNumber(header.number));
        }
        let transactions = block.data.unwrap_or_default().data;
        let metadata = block.metadata.unwrap_or_default().metadata;
        check_data(channel, &header, &transactions, metadata.len())?;
        let orderers = {
            let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
            channels.get(channel).cloned().ok_or(BlockError::UnknownChannel)?
        };
        let signers = orderers.count_signers(&header, &metadata[0])?;
        match signers >= orderers.signers_min {
            true => Ok(()),
            false => Err(BlockError::TooFewSigners(signers)),
        }
    }
}

impl Orderers {
    /// Counts different orderers with a valid signature, up to the number that suffices.
    ///
    /// One certificate counts once, whatever PEM text it comes in; a wrong signature does not
    /// spoil a later right one of the same orderer.
    fn count_signers(&self, header: &BlockHeader, slot: &Bytes) -> Result<usize, BlockError> {
        let undecodable = BlockError::UndecodableSignatures;
        let signed = Metadata::decode(slot.clone()).map_err(|_| undecodable)?;
        if signed.signatures.len() > SIGNATURES_MAX {
            return Err(BlockError::TooManySignatures(signed.signatures.len()));
        }
        let mut creators = Vec::with_capacity(signed.signatures.len());
        for signature in &signed.signatures {
            let header = SignatureHeader::decode(signature.signature_header.clone());
            creators.push(header.map_err(|_| undecodable)?.creator);
        }
        let header = header_bytes(header);
        let mut signers = BTreeSet::new();
        for (signature, creator) in signed.signatures.iter().zip(&creators) {
            if signers.len() >= self.signers_min {
                break;
            }
            let Ok(valid) = self.identities.judge(creator) else {
                continue;
            };
            let signer = (Arc::clone(&valid.facts.mspid), valid.certificate);
            if signers.contains(&signer) {
                continue;
            }
            let message = [&signed.value[..], &signature.signature_header, &header].concat();
            if valid.key.verify(&message, &signature.signature).is_ok() {
                signers.insert(signer);
            }
        }
        Ok(signers.len())
    }
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
    let is_config_block = first.is_config && transactions.len() == 1;
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
