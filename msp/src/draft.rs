//! Blocks in Fabric's form, for tests, demonstrations and sources that are no ordering service.

use bytes::Bytes;
use gossip_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, ChannelHeader, Envelope, Header, HeaderType,
    LastConfig, Metadata, MetadataSignature, OrdererBlockMetadata, Payload, SignatureHeader,
};
use prost::Message;

use crate::block::{data_hash, header_bytes, header_hash};
use crate::certificate::sha256;
use crate::signing::{SignError, SigningIdentity};

/// Where a block belongs, before it has content.
#[derive(Clone, Copy, Debug)]
pub struct BlockDraft<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// The block's number.
    pub number: u64,
    /// The header hash of the block before, empty for number zero.
    pub previous_hash: &'a [u8],
    /// The number of the last configuration block.
    pub last_config: u64,
}

/// A finished block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedBlock {
    /// The serialized `common.Block`.
    pub bytes: Bytes,
    /// The next block's previous hash.
    pub header_hash: [u8; 32],
}

impl BlockDraft<'_> {
    /// Wraps each payload into a signed endorser transaction and signs the block.
    ///
    /// The block passes [`BlockVerifier`](crate::BlockVerifier) if there is at least one payload
    /// and `signer` is of an orderer organisation. Nonces come from channel, number and position,
    /// so equal drafts have equal transaction ids.
    ///
    /// # Errors
    ///
    /// Only when the cryptographic library fails.
    pub fn seal(
        &self,
        payloads: &[Bytes],
        signer: &SigningIdentity,
    ) -> Result<SealedBlock, SignError> {
        let transactions = payloads.iter().enumerate();
        let transactions = transactions
            .map(|(index, payload)| self.transaction(index, payload, signer))
            .collect::<Result<Vec<_>, _>>()?;
        let header = BlockHeader {
            number: self.number,
            previous_hash: Bytes::copy_from_slice(self.previous_hash),
            data_hash: Bytes::copy_from_slice(&data_hash(&transactions)),
        };
        let header_hash = header_hash(&header);
        let metadata = self.metadata(&header, signer)?;
        let block = Block {
            header: Some(header),
            data: Some(BlockData { data: transactions }),
            metadata: Some(BlockMetadata { metadata }),
        };
        Ok(SealedBlock { bytes: block.encode_to_vec().into(), header_hash })
    }

    fn transaction(
        &self,
        index: usize,
        payload: &Bytes,
        signer: &SigningIdentity,
    ) -> Result<Bytes, SignError> {
        let nonce = self.nonce(index);
        let channel_header = ChannelHeader {
            r#type: HeaderType::EndorserTransaction.into(),
            channel_id: self.channel.to_owned(),
            tx_id: hex(&sha256(&[&nonce[..], signer.serialized()].concat())),
            ..ChannelHeader::default()
        };
        let header = Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header(nonce, signer),
        };
        let payload = Payload { header: Some(header), data: payload.clone() }.encode_to_vec();
        let signature = signer.sign(&payload)?.into();
        Ok(Envelope { payload: payload.into(), signature }.encode_to_vec().into())
    }

    /// The five slots of an ordering service: signatures, three unused and the commit hash.
    fn metadata(
        &self,
        header: &BlockHeader,
        signer: &SigningIdentity,
    ) -> Result<Vec<Bytes>, SignError> {
        let last_config = LastConfig { index: self.last_config };
        let value = OrdererBlockMetadata {
            last_config: Some(last_config),
            ..OrdererBlockMetadata::default()
        };
        let value = value.encode_to_vec();
        let signature_header = signature_header(self.nonce(usize::MAX), signer);
        let message = [&value[..], &signature_header, &header_bytes(header)].concat();
        let signature = MetadataSignature {
            signature: signer.sign(&message)?.into(),
            signature_header,
            identifier_header: Bytes::new(),
        };
        let signatures = Metadata { value: value.into(), signatures: vec![signature] };
        let mut slots = vec![Bytes::new(); METADATA_SLOTS];
        slots[0] = signatures.encode_to_vec().into();
        Ok(slots)
    }

    fn nonce(&self, index: usize) -> Bytes {
        let place =
            [self.channel.as_bytes(), &self.number.to_be_bytes(), &(index as u64).to_be_bytes()];
        Bytes::copy_from_slice(&sha256(&place.concat())[..NONCE_LEN])
    }
}

fn signature_header(nonce: Bytes, signer: &SigningIdentity) -> Bytes {
    SignatureHeader { creator: signer.serialized().clone(), nonce }.encode_to_vec().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const METADATA_SLOTS: usize = 5;
const NONCE_LEN: usize = 24;
