//! A remote that speaks with the node. What it says itself is vouched for by the test.

use bytes::Bytes;
use gossip_core::{ConnId, PkiId};
use gossip_message::{Content, Tag};
use gossip_msp::pki_id;
use gossip_proto::{
    common::{Block, BlockData, BlockHeader, BlockMetadata},
    gossip::{
        AliveMessage, ConnEstablish, DataMessage, Envelope, GossipMessage, Member, Payload,
        PeerTime, Properties, Secret, SecretEnvelope, StateInfo, gossip_message, secret,
    },
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::world::{REMOTE_TLS, World};

/// A remote that was authenticated.
pub(crate) struct Prober {
    pub(crate) pki_id: PkiId,
    pub(crate) conn: ConnId,
    identity: Bytes,
}

impl Prober {
    /// Connects a remote with this identity, which the node must accept.
    pub(crate) fn connect(world: &mut World, identity: &Bytes) -> Self {
        let pki_id = PkiId::new(pki_id(identity).expect("an identity"));
        let conn = world.connect(Some(REMOTE_TLS));
        let prober = Self { pki_id, conn, identity: identity.clone() };
        let content = Content::Conn(ConnEstablish {
            pki_id: pki_id.to_wire(),
            identity: identity.clone(),
            tls_cert_hash: Bytes::from_static(&REMOTE_TLS),
            probe: false,
        });
        let envelope = prober.say(world, Tag::Empty, content);
        world.receive(conn, frame(&envelope));
        assert!(world.node.connection_proof(conn).is_some(), "the handshake succeeds");
        prober
    }

    /// Becomes a member: says that it is alive.
    pub(crate) fn introduce(&self, world: &mut World) {
        let content = Content::AliveMsg(AliveMessage {
            membership: Some(Member {
                endpoint: ENDPOINT.into(),
                metadata: Bytes::new(),
                pki_id: self.pki_id.to_wire(),
            }),
            timestamp: Some(FIRST),
            identity: self.identity.clone(),
            ..AliveMessage::default()
        });
        let mut envelope = self.say(world, Tag::Empty, content);
        let content = Some(secret::Content::InternalEndpoint(ENDPOINT.into()));
        let payload = Bytes::from(Secret { content }.encode_to_vec());
        let signature = world.backend.vouch(&payload);
        envelope.secret_envelope = Some(SecretEnvelope { payload, signature });
        world.receive(self.conn, frame(&envelope));
    }

    /// Joins a channel: says that it has as many blocks as everybody.
    pub(crate) fn join(&self, world: &mut World, channel: &str) {
        let mac = Sha256::new().chain_update(self.pki_id.as_bytes()).chain_update(channel);
        let content = Content::StateInfo(StateInfo {
            timestamp: Some(FIRST),
            pki_id: self.pki_id.to_wire(),
            channel_mac: Bytes::copy_from_slice(&mac.finalize()),
            properties: Some(Properties { ledger_height: 5, ..Properties::default() }),
        });
        let envelope = self.say(world, Tag::ChanOrOrg, content);
        world.receive(self.conn, frame(&envelope));
    }

    /// Pushes a block of its own making.
    pub(crate) fn push_block(&self, world: &mut World, channel: &str, number: u64) {
        let data = vec![Bytes::from_static(b"transaction")];
        let data_hash = Bytes::copy_from_slice(&Sha256::digest(data.concat()));
        let block = Block {
            header: Some(BlockHeader { number, previous_hash: Bytes::new(), data_hash }),
            data: Some(BlockData { data }),
            metadata: Some(BlockMetadata::default()),
        };
        let data = block.encode_to_vec().into();
        let payload = Some(Payload { seq_num: number, data, private_data: Vec::new() });
        let message = GossipMessage {
            nonce: 0,
            channel: Bytes::copy_from_slice(channel.as_bytes()),
            tag: Tag::ChanAndOrg.into(),
            content: Some(Content::DataMsg(DataMessage { payload })),
        };
        let payload = message.encode_to_vec().into();
        world.receive(self.conn, frame(&Envelope { payload, ..Envelope::default() }));
    }

    /// Takes what the node has sent.
    pub(crate) fn received(&self, world: &mut World) -> Vec<(Envelope, GossipMessage)> {
        let frames = world.sent.remove(&self.conn).unwrap_or_default();
        let read = |frame: Bytes| {
            let envelope = Envelope::decode(frame).expect("an envelope");
            let message = GossipMessage::decode(envelope.payload.clone()).expect("a message");
            (envelope, message)
        };
        frames.into_iter().map(read).collect()
    }

    fn say(&self, world: &World, tag: Tag, content: Content) -> Envelope {
        let message = GossipMessage {
            nonce: 0,
            channel: Bytes::new(),
            tag: tag.into(),
            content: Some(content),
        };
        let payload = Bytes::from(message.encode_to_vec());
        let signature = world.backend.vouch(&payload);
        Envelope { payload, signature, secret_envelope: None }
    }
}

/// Serializes an envelope.
pub(crate) fn frame(envelope: &Envelope) -> Bytes {
    envelope.encode_to_vec().into()
}

/// Nobody listens there.
const ENDPOINT: &str = "127.0.0.1:1";

/// Older than all that was recorded.
const FIRST: PeerTime = PeerTime { inc_num: 1, seq_num: 1 };
