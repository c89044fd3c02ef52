//! What frames say, read without a copy: whatever is sent is looked at.
//!
//! Only what honest nodes send all the time is understood, and only as it is written usually.

use gossip_proto::gossip::{Envelope, GossipMessage, gossip_message::Content};

/// What matters of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Outline<'a> {
    /// The place of its kind among [`MESSAGE_KINDS`], their number if it is of none.
    pub kind: usize,
    pub channel: &'a [u8],
    pub tag: i32,
    /// Whether there is a secret envelope, here or in an envelope within.
    pub has_secret: bool,
    /// Whose statement about itself on a channel it is, and the MAC of that channel.
    pub state_info: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Outline<'a> {
    /// Reads a serialized `Envelope` with the `GossipMessage` in it.
    ///
    /// Returns `None` if it does not decode, and of some frames that do: those that are not written
    /// as protobuf writes them, and those that have unknown fields or hold what is rare.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let mut has_secret = false;
        let mut payload = &[][..];
        walk(frame, ENVELOPE, &mut has_secret, |number, value| {
            if let (1, Value::Bytes(bytes)) = (number, value) {
                payload = bytes;
            }
        })?;
        let (mut channel, mut tag, mut content) = (&[][..], 0, None);
        each(payload, |number, value| {
            match (number, value) {
                (1, Value::Number(_)) => {}
                (2, Value::Bytes(bytes)) => channel = bytes,
                (3, Value::Number(number)) => tag = number as i32,
                (_, Value::Bytes(bytes)) if content.is_none() => content = Some((number, bytes)),
                _ => return None,
            }
            Some(())
        })?;
        let (number, bytes) = content?;
        let (kind, shape) = shape_of(number)?;
        let mut info = (&[][..], &[][..]);
        walk(bytes, shape, &mut has_secret, |number, value| match (number, value) {
            (3, Value::Bytes(pki_id)) => info.0 = pki_id,
            (4, Value::Bytes(mac)) => info.1 = mac,
            _ => {}
        })?;
        let state_info = (kind == Place::StateInfo as usize).then_some(info);
        Some(Self { kind, channel, tag, has_secret, state_info })
    }

    /// Says whether it tells what its sender knows of all in a channel.
    pub(super) fn is_snapshot(&self) -> bool {
        self.kind == Place::StateSnapshot as usize
    }

    /// Says whether it is a message of one application to others.
    pub(super) fn is_of_an_application(&self) -> bool {
        const KINDS: [Place; 3] = [Place::PrivateData, Place::PrivateReq, Place::PrivateRes];
        KINDS.into_iter().any(|kind| kind as usize == self.kind)
    }

    /// Outlines a frame that was decoded; `None` if it has no content.
    pub(super) fn of(envelope: &Envelope, message: &'a GossipMessage) -> Option<Self> {
        let content = message.content.as_ref()?;
        let is_secret = |envelope: &Envelope| envelope.secret_envelope.is_some();
        let is_within = match content {
            Content::MemReq(request) => request.self_information.iter().any(is_secret),
            Content::MemRes(response) => response.alive.iter().chain(&response.dead).any(is_secret),
            Content::DataUpdate(update) => update.data.iter().any(is_secret),
            Content::StateSnapshot(snapshot) => snapshot.elements.iter().any(is_secret),
            _ => false,
        };
        let state_info = match content {
            Content::StateInfo(info) => Some((&info.pki_id[..], &info.channel_mac[..])),
            _ => None,
        };
        Some(Self {
            kind: kind_of(content),
            channel: &message.channel,
            tag: message.tag,
            has_secret: is_within || is_secret(envelope),
            state_info,
        })
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// What a field may hold.
enum Kind {
    Number,
    Bytes,
    Text,
    Message(Shape),
    Secret,
}

/// A message's fields. They are few: to search them takes no longer than an index would.
type Shape = &'static [(u32, Kind)];

/// Reads a message and those within it, and shows its fields; `None` if it does not have the shape.
fn walk<'a>(
    bytes: &'a [u8],
    shape: Shape,
    has_secret: &mut bool,
    mut show: impl FnMut(u32, Value<'a>),
) -> Option<()> {
    each(bytes, |number, value| {
        let (_, kind) = shape.iter().find(|(of, _)| *of == number)?;
        show(number, value);
        match (kind, value) {
            (Kind::Number, Value::Number(_)) | (Kind::Bytes, Value::Bytes(_)) => Some(()),
            (Kind::Text, Value::Bytes(bytes)) => str::from_utf8(bytes).ok().map(drop),
            (Kind::Message(shape), Value::Bytes(bytes)) => walk_within(bytes, shape, has_secret),
            (Kind::Secret, Value::Bytes(bytes)) => {
                *has_secret = true;
                walk_within(bytes, SECRET_ENVELOPE, has_secret)
            }
            _ => None,
        }
    })
}

fn walk_within(bytes: &[u8], shape: Shape, has_secret: &mut bool) -> Option<()> {
    walk(bytes, shape, has_secret, |_, _| {})
}

/// Reads the fields of a message one by one.
fn each<'a>(mut bytes: &'a [u8], mut f: impl FnMut(u32, Value<'a>) -> Option<()>) -> Option<()> {
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        let field = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut bytes)?),
            2 => {
                let len = usize::try_from(number(&mut bytes)?).ok()?;
                Value::Bytes(bytes.split_off(..len)?)
            }
            _ => return None,
        };
        f(field, value)?;
    }
    Some(())
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.split_off_first()?;
    // Most keys and lengths have one byte.
    if first & 0x80 == 0 { Some(first.into()) } else { long_number(first, bytes) }
}

fn long_number(first: u8, bytes: &mut &[u8]) -> Option<u64> {
    let mut number = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            // The tenth byte has one bit of the number.
            return (shift < 63 || byte == 1).then_some(number);
        }
    }
    None
}

macro_rules! kinds {
    ($($number:literal $content:ident $shape:ident = $name:literal),+ $(,)?) => {
        /// The kinds of messages that nodes send of themselves.
        pub const MESSAGE_KINDS: &[&str] = &[$($name),+];

        enum Place {
            $($content),+
        }

        fn kind_of(content: &Content) -> usize {
            match content {
                $(Content::$content(_) => Place::$content as usize,)+
                _ => MESSAGE_KINDS.len(),
            }
        }

        /// Finds the kind and the shape of the content in a field of `GossipMessage`.
        fn shape_of(number: u32) -> Option<(usize, Shape)> {
            match number {
                $($number => Some((Place::$content as usize, $shape)),)+
                _ => None,
            }
        }
    };
}

kinds! {
    22 Ack ACK = "acknowledgement",
    5 AliveMsg ALIVE = "alive message",
    8 DataMsg DATA = "block",
    14 Conn CONN = "handshake",
    20 LeadershipMsg LEADERSHIP = "leadership message",
    6 MemReq MEMBERSHIP_REQUEST = "membership request",
    7 MemRes MEMBERSHIP_RESPONSE = "membership response",
    25 PrivateData PRIVATE_DATA = "private data",
    23 PrivateReq PRIVATE_REQUEST = "private data request",
    24 PrivateRes PRIVATE_RESPONSE = "private data response",
    10 DataDig DIGESTS = "pull digest",
    9 Hello HELLO = "pull hello",
    11 DataReq DIGESTS = "pull request",
    12 DataUpdate DATA_UPDATE = "pull update",
    15 StateInfo STATE_INFO = "state info",
    17 StateInfoPullReq STATE_INFO_REQUEST = "state info request",
    16 StateSnapshot ENVELOPES = "state info snapshot",
    18 StateRequest STATE_REQUEST = "state request",
    19 StateResponse STATE_RESPONSE = "state response",
}

// As gossip/message.proto has them.
const ENVELOPE: Shape = &[(1, Kind::Bytes), (2, Kind::Bytes), (3, Kind::Secret)];
const SECRET_ENVELOPE: Shape = &[(1, Kind::Bytes), (2, Kind::Bytes)];
const ENVELOPES: Shape = &[(1, Kind::Message(ENVELOPE))];
const PEER_TIME: Shape = &[(1, Kind::Number), (2, Kind::Number)];
const MEMBER: Shape = &[(1, Kind::Text), (2, Kind::Bytes), (3, Kind::Bytes)];
const ALIVE: Shape = &[
    (1, Kind::Message(MEMBER)),
    (2, Kind::Message(PEER_TIME)),
    (4, Kind::Bytes),
    (1000, Kind::Number),
];
const PAYLOAD: Shape = &[(1, Kind::Number), (2, Kind::Bytes), (3, Kind::Bytes)];
const DATA: Shape = &[(1, Kind::Message(PAYLOAD))];
const CONN: Shape = &[(1, Kind::Bytes), (2, Kind::Bytes), (3, Kind::Bytes), (4, Kind::Number)];
const LEADERSHIP: Shape = &[(1, Kind::Bytes), (2, Kind::Message(PEER_TIME)), (3, Kind::Number)];
const MEMBERSHIP_REQUEST: Shape = &[(1, Kind::Message(ENVELOPE)), (2, Kind::Bytes)];
const MEMBERSHIP_RESPONSE: Shape = &[(1, Kind::Message(ENVELOPE)), (2, Kind::Message(ENVELOPE))];
const HELLO: Shape = &[(1, Kind::Number), (2, Kind::Bytes), (3, Kind::Number)];
const DIGESTS: Shape = HELLO;
const DATA_UPDATE: Shape = &[(1, Kind::Number), (2, Kind::Message(ENVELOPE)), (3, Kind::Number)];
const STATE_INFO: Shape = &[
    (2, Kind::Message(PEER_TIME)),
    (3, Kind::Bytes),
    (4, Kind::Bytes),
    (5, Kind::Message(PROPERTIES)),
];
const PROPERTIES: Shape = &[(1, Kind::Number), (2, Kind::Number), (3, Kind::Message(CHAINCODE))];
const CHAINCODE: Shape = &[(1, Kind::Text), (2, Kind::Text), (3, Kind::Bytes)];
const STATE_INFO_REQUEST: Shape = &[(1, Kind::Bytes)];
const STATE_REQUEST: Shape = &[(1, Kind::Number), (2, Kind::Number)];
const STATE_RESPONSE: Shape = &[(1, Kind::Message(PAYLOAD))];
const ACK: Shape = &[(1, Kind::Text)];
const PRIVATE_DATA: Shape = &[(1, Kind::Message(PRIVATE_PAYLOAD))];
const PRIVATE_PAYLOAD: Shape = &[
    (1, Kind::Text),
    (2, Kind::Text),
    (3, Kind::Text),
    (4, Kind::Bytes),
    (5, Kind::Number),
    (6, Kind::Bytes),
];
const PRIVATE_DIGEST: Shape =
    &[(1, Kind::Text), (2, Kind::Text), (3, Kind::Text), (4, Kind::Number), (5, Kind::Number)];
const PRIVATE_REQUEST: Shape = &[(1, Kind::Message(PRIVATE_DIGEST))];
const PRIVATE_ELEMENT: Shape = &[(1, Kind::Message(PRIVATE_DIGEST)), (2, Kind::Bytes)];
const PRIVATE_RESPONSE: Shape = &[(1, Kind::Message(PRIVATE_ELEMENT))];

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gossip_proto::gossip::{
        Acknowledgement, AliveMessage, Chaincode, ConnEstablish, DataDigest, DataMessage,
        DataRequest, DataUpdate, GossipHello, LeadershipMessage, Member, MembershipRequest,
        MembershipResponse, Payload, PeerTime, PrivateDataMessage, PrivatePayload, Properties,
        PvtDataDigest, PvtDataElement, RemotePvtDataRequest, RemotePvtDataResponse,
        RemoteStateRequest, RemoteStateResponse, SecretEnvelope, StateInfo, StateInfoPullRequest,
        StateInfoSnapshot,
    };
    use prost::Message as _;

    use super::*;
    use crate::sim::check::frames::open;

    /// With any bit turned, what is still understood is understood as what it decodes to.
    #[test]
    fn what_is_read_is_what_decodes() {
        let mut kinds = vec![0; MESSAGE_KINDS.len()];
        for content in contents() {
            let frame = frame(content);
            let read = Outline::read(&frame).expect("it is written as usual");
            kinds[read.kind] += 1;
            let mut changed = frame.to_vec();
            for place in 0..frame.len() {
                for bit in 0..8 {
                    changed[place] = frame[place] ^ 1 << bit;
                    assert_same(&Bytes::copy_from_slice(&changed));
                }
                changed[place] = frame[place];
                assert_same(&frame.slice(..place));
            }
        }
        assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    }

    fn assert_same(frame: &Bytes) {
        let Some(read) = Outline::read(frame) else { return };
        let (envelope, message) = open(frame).expect("what is understood decodes");
        assert_eq!(Outline::of(&envelope, &message), Some(read), "{frame:?}");
    }

    fn frame(content: Content) -> Bytes {
        let channel = Bytes::from_static(b"c");
        let message = GossipMessage { nonce: u64::MAX, channel, tag: 5, content: Some(content) };
        envelope(message.encode_to_vec()).encode_to_vec().into()
    }

    fn envelope(payload: Vec<u8>) -> Envelope {
        let signature = Bytes::from_static(b"s");
        let secret = SecretEnvelope { payload: signature.clone(), signature: signature.clone() };
        Envelope { payload: payload.into(), signature, secret_envelope: Some(secret) }
    }

    fn contents() -> Vec<Content> {
        let some = || Bytes::from_static(b"b");
        let list = || vec![some(), Bytes::new()];
        let inner = || envelope(b"p".to_vec());
        let timestamp = Some(PeerTime { inc_num: 1 << 40, seq_num: 300 });
        let payload = || Payload { seq_num: 7, data: some(), private_data: list() };
        let member = Member { endpoint: "é:1".into(), metadata: some(), pki_id: some() };
        let chaincode = Chaincode { name: "n".into(), version: "v".into(), metadata: some() };
        let digest = || PvtDataDigest {
            tx_id: "t".into(),
            namespace: "n".into(),
            collection: "c".into(),
            block_seq: 1,
            seq_in_block: 300,
        };
        let private = PrivatePayload {
            collection_name: "c".into(),
            namespace: "n".into(),
            tx_id: "t".into(),
            private_rwset: some(),
            private_sim_height: 7,
            collection_configs: some(),
        };
        let element = PvtDataElement { digest: Some(digest()), payload: list() };
        let properties =
            Properties { ledger_height: 9, left_channel: true, chaincodes: vec![chaincode] };
        vec![
            Content::Ack(Acknowledgement { error: "e".into() }),
            Content::PrivateData(PrivateDataMessage { payload: Some(private) }),
            Content::PrivateReq(RemotePvtDataRequest { digests: vec![digest(), digest()] }),
            Content::PrivateRes(RemotePvtDataResponse { elements: vec![element] }),
            Content::AliveMsg(AliveMessage {
                membership: Some(member),
                timestamp,
                identity: some(),
                extensions: 1,
            }),
            Content::MemReq(MembershipRequest { self_information: Some(inner()), known: list() }),
            Content::MemRes(MembershipResponse { alive: vec![inner()], dead: vec![inner()] }),
            Content::DataMsg(DataMessage { payload: Some(payload()) }),
            Content::Hello(GossipHello { nonce: 1, metadata: some(), msg_type: 2 }),
            Content::DataDig(DataDigest { nonce: 1, digests: list(), msg_type: 1 }),
            Content::DataReq(DataRequest { nonce: 1, digests: list(), msg_type: 1 }),
            Content::DataUpdate(DataUpdate { nonce: 1, data: vec![inner()], msg_type: 1 }),
            Content::Conn(ConnEstablish {
                pki_id: some(),
                identity: some(),
                tls_cert_hash: some(),
                probe: true,
            }),
            Content::StateInfo(StateInfo {
                timestamp,
                pki_id: some(),
                channel_mac: Bytes::from_static(b"mac"),
                properties: Some(properties),
            }),
            Content::StateSnapshot(StateInfoSnapshot { elements: vec![inner()] }),
            Content::StateInfoPullReq(StateInfoPullRequest { channel_mac: some() }),
            Content::StateRequest(RemoteStateRequest { start_seq_num: 1, end_seq_num: 2 }),
            Content::StateResponse(RemoteStateResponse { payloads: vec![payload()] }),
            Content::LeadershipMsg(LeadershipMessage {
                pki_id: some(),
                timestamp,
                is_declaration: true,
            }),
        ]
    }
}
