//! A remote without a node: every byte that it sends is written by a test.

use alloc::{format, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, SecretEnvelope, gossip_message::Content};
use prost::Message as _;

use crate::{
    ChannelId, CloseReason, ConnId, Endpoint, Event, Identity, PkiId, Stamp, TlsBinding,
    wire::{self, Element, Elements, NewAlive, NewStateInfo},
};

use super::net::{Net, START, identity, pki, sign, tls_at, tls_of};

/// The remote's end of a connection to a node.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) identity: Identity,
    pub(crate) pki_id: PkiId,
    pub(crate) conn: ConnId,
    /// The node's end.
    pub(crate) theirs: ConnId,
    tls: [u8; 32],
    /// What its alive messages say that it can do.
    pub(crate) extensions: u64,
}

impl Net {
    /// Connects a remote to a node and authenticates it.
    pub(crate) fn hand(&mut self, org: &str, name: &str, to: usize) -> Hand {
        let hand = self.connect(org, name, to);
        self.send(hand.conn, hand.introduction());
        self.run_for(self.latency * 3);
        assert!(self.is_open(hand.conn), "the handshake succeeds");
        self.received(&hand);
        hand
    }

    /// Connects a remote to a node; nobody has said anything.
    pub(crate) fn connect(&mut self, org: &str, name: &str, to: usize) -> Hand {
        let (conn, theirs) = self.wire(None, Some(to));
        let pki_id = pki(org, name);
        let tls = tls_of(&pki_id, true);
        let local = tls_of(&self.peers[to].config.pki_id, false);
        let binding = Some(TlsBinding { local, remote: Some(tls) });
        let remote = format!("{name}:50000");
        self.handle(to, Event::Connected { conn: theirs, dial: None, remote, tls: binding });
        Hand { identity: identity(org, name), pki_id, conn, theirs, tls, extensions: 0 }
    }

    /// Takes the place of whoever is at an endpoint that a node has dialled last.
    pub(crate) fn answer(&mut self, org: &str, name: &str) -> Hand {
        let (endpoint, conn) = self.accepted.pop().expect("a dial");
        let theirs = self.other_end(conn);
        let tls = tls_at(&endpoint);
        Hand {
            identity: identity(org, name),
            pki_id: pki(org, name),
            conn,
            theirs,
            tls,
            extensions: 0,
        }
    }

    /// Takes the messages that a remote was sent.
    pub(crate) fn received(&mut self, hand: &Hand) -> Vec<(Envelope, GossipMessage)> {
        let frames = self.inboxes.remove(&hand.conn).unwrap_or_default();
        let read = |frame: Bytes| {
            let envelope = Envelope::decode(frame).expect("an envelope");
            let message = wire::open(&envelope).expect("a message");
            (envelope, message)
        };
        frames.into_iter().map(read).collect()
    }

    /// Takes the contents of what a remote was sent.
    pub(crate) fn contents(&mut self, hand: &Hand) -> Vec<Content> {
        self.received(hand).into_iter().filter_map(|(_, message)| message.content).collect()
    }

    /// Lets a remote read no more: the node gets no credit back.
    pub(crate) fn stop_reading(&mut self, hand: &Hand) {
        self.stalled.insert(hand.theirs);
    }

    /// Returns why the node has closed the connection, if it has.
    pub(crate) fn close_reason(&self, hand: &Hand) -> Option<CloseReason> {
        self.closed.get(&hand.theirs).copied()
    }
}

impl Hand {
    /// A remote without a connection.
    pub(crate) fn named(org: &str, name: &str) -> Self {
        let (pki_id, nowhere) = (pki(org, name), ConnId::new(u64::MAX));
        let tls = tls_of(&pki_id, true);
        let identity = identity(org, name);
        Self { identity, pki_id, conn: nowhere, theirs: nowhere, tls, extensions: 0 }
    }

    /// Seals a payload under the remote's identity.
    pub(crate) fn seal(&self, payload: Bytes) -> Envelope {
        let signature = sign(&self.identity, &payload);
        Envelope { payload, signature, secret_envelope: None }
    }

    /// Makes the connection message.
    pub(crate) fn introduction(&self) -> Bytes {
        self.introduction_with(Some(self.tls), false)
    }

    pub(crate) fn introduction_with(&self, tls: Option<[u8; 32]>, probe: bool) -> Bytes {
        let payload = wire::conn_establish(&self.pki_id, &self.identity, tls, probe);
        frame(&self.seal(payload))
    }

    /// Makes an alive message with an external endpoint, without an identity and a secret.
    pub(crate) fn alive(&self, sequence: u64) -> Envelope {
        self.seal(self.alive_payload(sequence, Some(&"hand.example.com:443".into()), None))
    }

    /// The same with the remote's identity in it.
    pub(crate) fn alive_with_identity(&self, sequence: u64) -> Envelope {
        let endpoint = Endpoint::from("hand.example.com:443");
        self.seal(self.alive_payload(sequence, Some(&endpoint), Some(&self.identity)))
    }

    pub(crate) fn alive_payload(
        &self,
        sequence: u64,
        endpoint: Option<&Endpoint>,
        identity: Option<&Identity>,
    ) -> Bytes {
        let stamp = Stamp { incarnation: START.as_nanos(), sequence };
        let metadata = &Bytes::new();
        let (pki_id, extensions) = (self.pki_id, self.extensions);
        NewAlive { pki_id, stamp, endpoint, metadata, identity, extensions }.payload()
    }

    pub(crate) fn secret(&self, endpoint: &str) -> SecretEnvelope {
        let payload = wire::secret_payload(&endpoint.into());
        let signature = sign(&self.identity, &payload);
        SecretEnvelope { payload, signature }
    }

    /// Makes a StateInfo for a channel.
    pub(crate) fn state_info(&self, channel: &str, sequence: u64, height: u64) -> Envelope {
        self.state_info_with(channel, sequence, height, false)
    }

    pub(crate) fn state_info_with(
        &self,
        channel: &str,
        sequence: u64,
        height: u64,
        left: bool,
    ) -> Envelope {
        let stamp = Stamp { incarnation: START.as_nanos(), sequence };
        let mac = wire::channel_mac(&self.pki_id, &ChannelId::from(channel));
        let info = NewStateInfo { stamp, height, left, chaincodes: Vec::new() };
        self.seal(info.payload(&self.pki_id, &mac))
    }

    pub(crate) fn state_info_request(&self, channel: &str) -> Bytes {
        wire::state_info_request(&wire::channel_mac(&self.pki_id, &ChannelId::from(channel)))
    }
}

pub(crate) fn frame(envelope: &Envelope) -> Bytes {
    envelope.encode_to_vec().into()
}

/// A snapshot of StateInfo messages.
pub(super) fn snapshot_of(channel: &str, infos: &[Envelope]) -> Bytes {
    let mut elements = Elements::default();
    infos.iter().for_each(|info| elements.push(Element::First, &info.encode_to_vec()));
    wire::snapshot(&ChannelId::from(channel), &elements)
}
