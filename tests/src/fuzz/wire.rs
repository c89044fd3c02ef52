//! Bytes of a socket: envelopes, messages, and what is inside them.

use bytes::Bytes;
use gossip_proto::{
    common, gossip,
    gossip::{Envelope, GossipMessage, Secret, gossip_message::Content},
    msp, protos,
};
use prost::Message;

/// Reads bytes as a frame: what it holds is a part of the frame, not a copy.
pub(super) fn envelope(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let Ok(envelope) = Envelope::decode(frame.clone()) else { return };
    let parts = [&envelope.payload, &envelope.signature];
    let secret = envelope.secret_envelope.iter().flat_map(|s| [&s.payload, &s.signature]);
    for part in parts.into_iter().chain(secret).filter(|part| !part.is_empty()) {
        let (frame, part) = (frame.as_ptr_range(), part.as_ptr_range());
        assert!(frame.start <= part.start && part.end <= frame.end, "{part:?} was copied");
    }
    open(&envelope, 0);
}

/// Reads bytes as a message, and all messages inside it.
pub(super) fn message(bytes: &[u8]) {
    let envelope = Envelope { payload: Bytes::copy_from_slice(bytes), ..Envelope::default() };
    open(&envelope, 0);
}

/// Reads bytes as one of many types, the first byte says which: what is read and written again is
/// the same, and so are the bytes when it is written once more.
pub(super) fn reencode(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    READERS[usize::from(*kind) % READERS.len()](Bytes::copy_from_slice(bytes));
}

/// Opens an envelope, and those in it, as deep as messages can be in messages.
fn open(envelope: &Envelope, depth: usize) {
    if let Some(secret) = &envelope.secret_envelope {
        let _ = Secret::decode(secret.payload.clone());
    }
    let Ok(message) = GossipMessage::decode(envelope.payload.clone()) else { return };
    let inner: Vec<_> = match message.content {
        Some(Content::MemReq(request)) => request.self_information.into_iter().collect(),
        Some(Content::MemRes(all)) => all.alive.into_iter().chain(all.dead).collect(),
        Some(Content::StateSnapshot(snapshot)) => snapshot.elements,
        Some(Content::DataUpdate(update)) => update.data,
        _ => return,
    };
    // Nothing that a node sends is nested deeper.
    if depth < 2 {
        inner.iter().for_each(|envelope| open(envelope, depth + 1));
    }
}

fn again<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: Bytes) {
    let Ok(message) = M::decode(bytes) else { return };
    let written = Bytes::from(message.encode_to_vec());
    assert_eq!(written.len(), message.encoded_len());
    let read = M::decode(written.clone()).expect("what we wrote");
    assert!(read == message, "{read:?} was {message:?}");
    assert_eq!(read.encode_to_vec(), written);
}

/// All kinds of messages; the order is part of the corpus.
const READERS: &[fn(Bytes)] = &[
    again::<GossipMessage>,
    again::<Envelope>,
    again::<Secret>,
    again::<msp::SerializedIdentity>,
    again::<common::Block>,
    again::<common::ConfigEnvelope>,
    again::<common::Metadata>,
    again::<common::SignaturePolicyEnvelope>,
    again::<common::ImplicitMetaPolicy>,
    again::<msp::FabricMspConfig>,
    again::<protos::CollectionConfigPackage>,
    again::<gossip::PvtDataPayload>,
];
