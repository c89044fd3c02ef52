//! Messages between applications, whose bodies travel as they are.

use bytes::{Buf as _, Bytes};
use gossip_proto::gossip::{
    GossipMessage, PrivateDataMessage, RemotePvtDataRequest, RemotePvtDataResponse,
};
use prost::{
    DecodeError, Message as _,
    encoding::{
        DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
    },
};

use crate::{Message, MessageKind};

use super::{Tag, build::unsigned};

/// Makes an envelope around an application's message.
pub(crate) fn carry(message: &Message, nonce: u64) -> Bytes {
    let channel = message.channel.as_bytes().clone();
    let tag = Tag::ChanOnly as i32;
    let mut payload = GossipMessage { nonce, channel, tag, content: None }.encode_to_vec();
    encode_key(number(message.kind), WireType::LengthDelimited, &mut payload);
    encode_varint(message.body.len() as u64, &mut payload);
    payload.extend_from_slice(&message.body);
    unsigned(payload.into())
}

/// Returns the body of a message of this kind, as it travelled; `None` unless there is exactly one.
pub(crate) fn carried(payload: &Bytes, kind: MessageKind) -> Option<Bytes> {
    let mut rest = payload.clone();
    let mut body = None;
    while rest.has_remaining() {
        let (field, wire_type) = decode_key(&mut rest).ok()?;
        if field != number(kind) {
            skip_field(wire_type, field, &mut rest, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
        let is_body = wire_type == WireType::LengthDelimited && length <= rest.len();
        if !is_body || body.replace(rest.split_to(length)).is_some() {
            return None;
        }
    }
    body
}

/// Says whether a body is of its kind: any other would make its receiver close the connection.
pub(crate) fn is_body(kind: MessageKind, body: &Bytes) -> bool {
    fn decodes<M: prost::Message + Default>(body: &Bytes) -> Result<(), DecodeError> {
        M::decode(body.clone()).map(|_| ())
    }
    let decoded = match kind {
        MessageKind::PrivateData => decodes::<PrivateDataMessage>(body),
        MessageKind::PrivateRequest => decodes::<RemotePvtDataRequest>(body),
        MessageKind::PrivateResponse => decodes::<RemotePvtDataResponse>(body),
    };
    decoded.is_ok()
}

/// Returns the number of the field that holds the body.
const fn number(kind: MessageKind) -> u32 {
    match kind {
        MessageKind::PrivateRequest => 23,
        MessageKind::PrivateResponse => 24,
        MessageKind::PrivateData => 25,
    }
}

#[cfg(test)]
mod tests {
    use gossip_proto::gossip::{Envelope, PrivatePayload, gossip_message::Content};

    use super::*;
    use crate::{ChannelId, wire};

    fn message(kind: MessageKind, body: &'static [u8]) -> Message {
        Message { channel: ChannelId::from("ch"), kind, body: Bytes::from_static(body) }
    }

    /// PD-1, W-20: no signature, the tag, and what was put in comes out.
    #[test]
    fn a_message_arrives_as_it_was_put_in() {
        for kind in MessageKind::ALL {
            // A field that nobody knows survives, too.
            let sent = message(*kind, &[0xfa, 0x3f, 1, b'x']);
            assert!(is_body(*kind, &sent.body));
            let envelope = Envelope::decode(carry(&sent, 7)).expect("an envelope");
            assert!(envelope.signature.is_empty());
            let opened = wire::open(&envelope).expect("a message");
            assert_eq!((opened.nonce, opened.channel.as_ref()), (7, &b"ch"[..]));
            assert_eq!(opened.tag(), Tag::ChanOnly);
            assert_eq!(carried(&envelope.payload, *kind), Some(sent.body));
            let others = MessageKind::ALL.iter().filter(|other| *other != kind);
            for other in others {
                assert_eq!(carried(&envelope.payload, *other), None);
            }
        }
    }

    /// Field by field what Fabric would encode.
    #[test]
    fn our_bytes_are_those_of_the_schema() {
        let data = PrivateDataMessage {
            payload: Some(PrivatePayload { tx_id: "tx".into(), ..PrivatePayload::default() }),
        };
        let sent = Message {
            channel: ChannelId::from("ch"),
            kind: MessageKind::PrivateData,
            body: data.encode_to_vec().into(),
        };
        let whole = GossipMessage {
            nonce: 7,
            channel: "ch".into(),
            tag: Tag::ChanOnly as i32,
            content: Some(Content::PrivateData(data)),
        };
        assert_eq!(carry(&sent, 7), unsigned(whole.encode_to_vec().into()));
    }

    #[test]
    fn a_message_that_says_it_twice_is_not_understood() {
        let envelope = Envelope::decode(carry(&message(MessageKind::PrivateData, b""), 7));
        let payload = envelope.expect("an envelope").payload;
        assert_eq!(carried(&payload, MessageKind::PrivateData), Some(Bytes::new()));
        let twice = [payload.as_ref(), payload.as_ref()].concat().into();
        assert_eq!(carried(&twice, MessageKind::PrivateData), None);
    }

    #[test]
    fn a_body_must_be_of_its_kind() {
        for kind in MessageKind::ALL {
            assert!(!is_body(*kind, &Bytes::from_static(&[0xff])));
        }
    }
}
