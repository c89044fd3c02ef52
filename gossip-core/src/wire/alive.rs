//! Alive messages.

use alloc::sync::Arc;

use bytes::Bytes;
use gossip_proto::gossip::{
    AliveMessage, Envelope, GossipMessage, Member, PeerTime, Secret, SecretEnvelope,
    gossip_message::Content, secret,
};
use prost::Message as _;

use crate::{Endpoint, Fault, Identity, PkiId, Stamp, wire};

use super::{
    Plain, Tag,
    read::{self, Fields, Sealed},
};

/// A well-formed alive message in its envelope; whether it is true is for a signature to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alive {
    pub(crate) pki_id: PkiId,
    pub(crate) stamp: Stamp,
    /// Where other organisations reach the peer.
    pub(crate) endpoint: Option<Endpoint>,
    /// Where its own organisation reaches it, from the secret envelope.
    pub(crate) internal_endpoint: Option<Endpoint>,
    pub(crate) metadata: Bytes,
    pub(crate) identity: Option<Identity>,
    /// What the peer can do beyond the protocol: bits of [`extension`](super::extension).
    pub(crate) extensions: u64,
    pub(crate) envelope: Envelope,
    /// The serialized envelope.
    frame: Bytes,
}

impl Alive {
    /// Takes an alive message out of its envelope. `frame` is the envelope's serialization, if it
    /// travelled by itself.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] if a part is missing (W-36, D-8) or larger than `bytes_max`.
    pub(crate) fn parse(
        frame: Option<Bytes>,
        envelope: Envelope,
        message: AliveMessage,
        bytes_max: usize,
    ) -> Result<Self, Fault> {
        let member = message.membership.ok_or(Fault::Malformed)?;
        let internal_endpoint = internal_endpoint(envelope.secret_envelope.as_ref());
        // The identity has a bound of its own.
        let size = frame.as_ref().map_or_else(|| envelope.encoded_len(), Bytes::len);
        if size.saturating_sub(message.identity.len()) > bytes_max {
            return Err(Fault::Malformed);
        }
        Ok(Self {
            pki_id: PkiId::from_wire(&member.pki_id).ok_or(Fault::Malformed)?,
            stamp: super::stamp(message.timestamp)?,
            endpoint: Endpoint::from_wire(&member.endpoint),
            internal_endpoint,
            metadata: member.metadata,
            extensions: message.extensions,
            identity: (!message.identity.is_empty()).then(|| Identity::new(message.identity)),
            frame: frame.unwrap_or_else(|| envelope.encode_to_vec().into()),
            envelope,
        })
    }

    /// Reads a plain alive message in place: as [`parse`](Self::parse) does, or `None`.
    pub(super) fn read(
        frame: &Bytes,
        sealed: &Sealed<'_>,
        content: &[u8],
        bytes_max: usize,
    ) -> Option<Arc<Self>> {
        let Parts { endpoint, metadata, pki_id, time, identity, extensions } =
            Parts::read(content)?;
        if frame.len().saturating_sub(identity.len()) > bytes_max {
            return None;
        }
        let endpoint = core::str::from_utf8(endpoint).ok()?;
        let internal_endpoint = sealed.internal_endpoint()?.and_then(Endpoint::from_wire);
        Some(Arc::new(Self {
            pki_id: PkiId::from_wire(pki_id)?,
            stamp: read::stamp(time)?,
            endpoint: Endpoint::from_wire(endpoint),
            internal_endpoint,
            metadata: frame.slice_ref(metadata),
            extensions,
            identity: (!identity.is_empty()).then(|| Identity::new(frame.slice_ref(identity))),
            envelope: sealed.envelope(frame),
            frame: frame.clone(),
        }))
    }

    /// Takes an alive message out of an envelope inside another message.
    ///
    /// # Errors
    ///
    /// [`Fault::Undecodable`] if it is no alive message at all, else as [`parse`](Self::parse).
    pub(crate) fn parse_nested(envelope: Envelope, bytes_max: usize) -> Result<Self, Fault> {
        match wire::open(&envelope)?.content {
            Some(Content::AliveMsg(alive)) => Self::parse(None, envelope, alive, bytes_max),
            _ => Err(Fault::Undecodable),
        }
    }

    /// Takes an alive message out of a serialized envelope, whose memory it shares.
    ///
    /// # Errors
    ///
    /// As [`parse_nested`](Self::parse_nested).
    pub(crate) fn parse_frame(frame: Bytes, bytes_max: usize) -> Result<Arc<Self>, Fault> {
        if let Some(Plain::Alive { alive, .. }) = wire::plain(&frame, bytes_max, bytes_max) {
            return Ok(alive);
        }
        let envelope = Envelope::decode(frame.clone()).map_err(|_| Fault::Undecodable)?;
        match wire::open(&envelope)?.content {
            Some(Content::AliveMsg(alive)) => {
                Self::parse(Some(frame), envelope, alive, bytes_max).map(Arc::new)
            }
            _ => Err(Fault::Undecodable),
        }
    }

    /// Takes the parsed identity off, for storing the message: it is stored elsewhere.
    pub(crate) fn without_identity(mut alive: Arc<Self>) -> Arc<Self> {
        if alive.identity.is_some() {
            Arc::make_mut(&mut alive).identity = None;
        }
        alive
    }

    /// Takes the secret off.
    pub(crate) fn without_secret(mut alive: Arc<Self>) -> Arc<Self> {
        if alive.envelope.secret_envelope.is_some() {
            let bare = Arc::make_mut(&mut alive);
            bare.frame = bare.frame_without_secret();
            bare.envelope.secret_envelope = None;
            bare.internal_endpoint = None;
        }
        alive
    }

    /// Returns the serialized envelope as it arrived.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// Returns the serialized envelope without its secret: what another organisation may see.
    pub(crate) fn frame_without_secret(&self) -> Bytes {
        match self.envelope.secret_envelope {
            None => self.frame(),
            Some(_) => self.envelope_without_secret().encode_to_vec().into(),
        }
    }

    /// Returns the envelope without its secret.
    pub(crate) fn envelope_without_secret(&self) -> Envelope {
        let Envelope { payload, signature, secret_envelope: _ } = &self.envelope;
        Envelope { payload: payload.clone(), signature: signature.clone(), secret_envelope: None }
    }

    /// Returns what its own organisation dials, else what others do (D-46).
    pub(crate) fn preferred_endpoint(&self) -> Option<&Endpoint> {
        self.internal_endpoint.as_ref().or(self.endpoint.as_ref())
    }

    /// Says whether two copies have the same signed bytes; their secrets may differ.
    pub(crate) fn is_same_statement(&self, other: &Self) -> bool {
        self.envelope.payload == other.envelope.payload
            && self.envelope.signature == other.envelope.signature
    }
}

/// The fields of a plain alive message.
pub(super) struct Parts<'a> {
    endpoint: &'a [u8],
    metadata: &'a [u8],
    pub(super) pki_id: &'a [u8],
    pub(super) time: &'a [u8],
    identity: &'a [u8],
    extensions: u64,
}

impl<'a> Parts<'a> {
    pub(super) fn read(content: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(content);
        let (member, time, identity) = (fields.bytes(1)?, fields.bytes(2)?, fields.bytes(4)?);
        let extensions = match fields.is_over() {
            true => 0,
            false => fields.any_number().filter(|(number, _)| *number == 1000)?.1,
        };
        let mut parts = Fields::of(member);
        let (endpoint, metadata, pki_id) = (parts.bytes(1)?, parts.bytes(2)?, parts.bytes(3)?);
        let is_plain = fields.is_over() && parts.is_over() && !time.is_empty();
        is_plain.then_some(Self { endpoint, metadata, pki_id, time, identity, extensions })
    }
}

/// An alive message of our own, before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct NewAlive<'a> {
    pub(crate) pki_id: PkiId,
    pub(crate) stamp: Stamp,
    pub(crate) endpoint: Option<&'a Endpoint>,
    pub(crate) metadata: &'a Bytes,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) extensions: u64,
}

impl NewAlive<'_> {
    /// Serializes the message that is to be signed.
    pub(crate) fn payload(&self) -> Bytes {
        let alive = AliveMessage {
            membership: Some(Member {
                endpoint: self
                    .endpoint
                    .map(|endpoint| endpoint.as_str().into())
                    .unwrap_or_default(),
                metadata: self.metadata.clone(),
                pki_id: self.pki_id.to_wire(),
            }),
            timestamp: Some(PeerTime {
                inc_num: self.stamp.incarnation,
                seq_num: self.stamp.sequence,
            }),
            identity: self.identity.map(|identity| identity.as_bytes().clone()).unwrap_or_default(),
            extensions: self.extensions,
        };
        let tag = Tag::Empty as i32;
        let content = Some(Content::AliveMsg(alive));
        GossipMessage { tag, content, ..Default::default() }.encode_to_vec().into()
    }
}

/// Serializes the secret that names our internal endpoint, to be signed.
pub(crate) fn secret_payload(internal_endpoint: &Endpoint) -> Bytes {
    let content = secret::Content::InternalEndpoint(internal_endpoint.as_str().into());
    Secret { content: Some(content) }.encode_to_vec().into()
}

/// Reads the internal endpoint; anything that is none reads as none (W-19).
fn internal_endpoint(secret: Option<&SecretEnvelope>) -> Option<Endpoint> {
    let Secret { content } = Secret::decode(secret?.payload.clone()).ok()?;
    let secret::Content::InternalEndpoint(endpoint) = content?;
    Endpoint::from_wire(&endpoint)
}
