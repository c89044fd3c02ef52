//! StateInfo messages.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{
    Chaincode as WireChaincode, Envelope, GossipMessage, PeerTime, Properties,
    StateInfo as WireStateInfo, gossip_message::Content,
};
use prost::Message as _;

use crate::{Chaincode, Fault, PkiId, Stamp, wire};

use super::{
    Plain, Tag,
    read::{self, Fields, Sealed},
};

/// A well-formed StateInfo in its envelope; whether it is true is for a signature to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateInfo {
    pub(crate) pki_id: PkiId,
    pub(crate) stamp: Stamp,
    pub(crate) mac: [u8; 32],
    pub(crate) height: u64,
    pub(crate) left: bool,
    pub(crate) chaincodes: Vec<Chaincode>,
    pub(crate) envelope: Envelope,
    /// The serialized envelope.
    frame: Bytes,
}

impl StateInfo {
    /// Takes a StateInfo out of its envelope. `frame` is the envelope's serialization, if it
    /// travelled by itself.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] if a part is missing (W-36) or it is larger than `bytes_max`.
    pub(crate) fn parse(
        frame: Option<Bytes>,
        envelope: Envelope,
        message: WireStateInfo,
        bytes_max: usize,
    ) -> Result<Self, Fault> {
        let size = frame.as_ref().map_or_else(|| envelope.encoded_len(), Bytes::len);
        if size > bytes_max {
            return Err(Fault::Malformed);
        }
        let properties = message.properties.unwrap_or_default();
        let chaincode = |WireChaincode { name, version, metadata: _ }| Chaincode { name, version };
        Ok(Self {
            pki_id: PkiId::from_wire(&message.pki_id).ok_or(Fault::Malformed)?,
            stamp: super::stamp(message.timestamp)?,
            mac: message.channel_mac.as_ref().try_into().map_err(|_| Fault::Malformed)?,
            height: properties.ledger_height,
            left: properties.left_channel,
            chaincodes: properties.chaincodes.into_iter().map(chaincode).collect(),
            frame: frame.unwrap_or_else(|| envelope.encode_to_vec().into()),
            envelope,
        })
    }

    /// Reads a plain StateInfo in place: as [`parse`](Self::parse) does, or `None`.
    pub(super) fn read(
        frame: &Bytes,
        sealed: &Sealed<'_>,
        content: &[u8],
        bytes_max: usize,
    ) -> Option<Arc<Self>> {
        let Parts { time, pki_id, mac, properties } = Parts::read(content)?;
        if frame.len() > bytes_max {
            return None;
        }
        let Properties { ledger_height, left_channel, chaincodes } =
            Properties::decode(properties).ok()?;
        let chaincode = |WireChaincode { name, version, metadata: _ }| Chaincode { name, version };
        Some(Arc::new(Self {
            pki_id: PkiId::from_wire(pki_id)?,
            stamp: read::stamp(time)?,
            mac: mac.try_into().ok()?,
            height: ledger_height,
            left: left_channel,
            chaincodes: chaincodes.into_iter().map(chaincode).collect(),
            envelope: sealed.envelope(frame),
            frame: frame.clone(),
        }))
    }

    /// Takes a StateInfo out of an envelope inside another message.
    ///
    /// # Errors
    ///
    /// [`Fault::Undecodable`] if it is no StateInfo at all, else as [`parse`](Self::parse).
    pub(crate) fn parse_nested(envelope: Envelope, bytes_max: usize) -> Result<Self, Fault> {
        match wire::open(&envelope)?.content {
            Some(Content::StateInfo(info)) => Self::parse(None, envelope, info, bytes_max),
            _ => Err(Fault::Undecodable),
        }
    }

    /// Takes a StateInfo out of a serialized envelope, whose memory it shares.
    ///
    /// # Errors
    ///
    /// As [`parse_nested`](Self::parse_nested).
    pub(crate) fn parse_frame(frame: Bytes, bytes_max: usize) -> Result<Arc<Self>, Fault> {
        if let Some(Plain::Info { info, .. }) = wire::plain(&frame, bytes_max, bytes_max) {
            return Ok(info);
        }
        let envelope = Envelope::decode(frame.clone()).map_err(|_| Fault::Undecodable)?;
        match wire::open(&envelope)?.content {
            Some(Content::StateInfo(info)) => {
                Self::parse(Some(frame), envelope, info, bytes_max).map(Arc::new)
            }
            _ => Err(Fault::Undecodable),
        }
    }

    /// Returns the serialized envelope as it arrived.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.clone()
    }
}

/// The fields of a plain StateInfo.
pub(super) struct Parts<'a> {
    pub(super) time: &'a [u8],
    pub(super) pki_id: &'a [u8],
    pub(super) mac: &'a [u8],
    properties: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn read(content: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(content);
        let (time, pki_id, mac) = (fields.bytes(2)?, fields.bytes(3)?, fields.bytes(4)?);
        let properties = fields.bytes(5)?;
        let is_plain = fields.is_over() && !time.is_empty();
        is_plain.then_some(Self { time, pki_id, mac, properties })
    }
}

/// A StateInfo of our own, before it is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NewStateInfo {
    pub(crate) stamp: Stamp,
    pub(crate) height: u64,
    pub(crate) left: bool,
    pub(crate) chaincodes: Vec<Chaincode>,
}

impl NewStateInfo {
    /// Serializes the message that is to be signed (CH-25).
    pub(crate) fn payload(&self, pki_id: &PkiId, mac: &[u8; 32]) -> Bytes {
        let chaincode = |Chaincode { name, version }: &Chaincode| WireChaincode {
            name: name.clone(),
            version: version.clone(),
            metadata: Bytes::new(),
        };
        let info = WireStateInfo {
            timestamp: Some(PeerTime {
                inc_num: self.stamp.incarnation,
                seq_num: self.stamp.sequence,
            }),
            pki_id: pki_id.to_wire(),
            channel_mac: Bytes::copy_from_slice(mac),
            properties: Some(Properties {
                ledger_height: self.height,
                left_channel: self.left,
                chaincodes: self.chaincodes.iter().map(chaincode).collect(),
            }),
        };
        let tag = Tag::ChanOrOrg as i32;
        let content = Some(Content::StateInfo(info));
        GossipMessage { tag, content, ..Default::default() }.encode_to_vec().into()
    }
}
