//! Whom the recorded node let in (C-11 to C-16, W-22).

use bytes::Bytes;
use gossip_core::{ConnId, Notice, OrgId, PkiId};
use gossip_message::{Content, Tag};
use gossip_msp::{Identities, SigningIdentity};
use gossip_proto::gossip::{
    AliveMessage, ConnEstablish, Envelope, GossipMessage, Member, PeerTime, gossip_message,
};
use prost::Message as _;

use super::{
    backend::Backend,
    organisation::Organisation,
    prober::frame,
    recording::{HandshakeVerdict, Recording},
    world::{REMOTE_TLS, World},
};

/// Everybody who may connect. The recording keeps the verdicts and not the bytes, so all keys are
/// made here.
struct Cast {
    world: World,
    valid: SigningIdentity,
    another: SigningIdentity,
    other_org: SigningIdentity,
    outside_channel: SigningIdentity,
    unknown_org: SigningIdentity,
    expired: SigningIdentity,
    wrong_authority: SigningIdentity,
}

#[test]
fn a_node_lets_in_whom_the_recorded_node_let_in() {
    let recording = Recording::read();
    assert_eq!(recording.handshakes.len(), 15);
    for handshake in &recording.handshakes {
        let (name, recorded) = (&handshake.name, &handshake.live);
        let mut cast = Cast::new(&recording.channel);
        let conn = cast.world.connect((name != "no_tls_client_cert").then_some(REMOTE_TLS));
        if recorded.connected {
            let first = cast.first_frame(name);
            cast.world.receive(conn, first);
        }
        let expected = HandshakeVerdict {
            // The recorded transport refused the remote, ours leaves that to the node.
            stream_closed: recorded.stream_closed || !recorded.connected,
            ..*recorded
        };
        assert_eq!(cast.verdict(conn, recorded.connected), expected, "{name}");
    }
}

impl Cast {
    fn new(channel: &str) -> Self {
        let [ours, theirs, outside, unknown, impostor] =
            ["Org1MSP", "Org2MSP", "Org3MSP", "Org4MSP", "Org1MSP"].map(Organisation::new);
        let identities = Identities::new([ours.msp(), theirs.msp(), outside.msp()]);
        let orgs = ["Org1MSP", "Org2MSP"];
        let readers = orgs.map(OrgId::from).to_vec();
        let mut world = World::new(Backend::new(identities, ours.peer(), readers));
        world.join(channel, &orgs);
        Self {
            world,
            valid: ours.peer(),
            another: ours.peer(),
            other_org: theirs.peer(),
            outside_channel: outside.peer(),
            unknown_org: unknown.peer(),
            expired: ours.peer_until(2026),
            wrong_authority: impostor.peer(),
        }
    }

    /// Makes what the remote says first in a case of this name.
    fn first_frame(&self, name: &str) -> Bytes {
        let Self { valid, another, .. } = self;
        let mut conn = introduction(valid);
        match name {
            "valid" => signed(valid, conn),
            "valid_other_org" => signed(&self.other_org, introduction(&self.other_org)),
            "org_known_but_outside_channel" => {
                signed(&self.outside_channel, introduction(&self.outside_channel))
            }
            "unknown_msp" => signed(&self.unknown_org, introduction(&self.unknown_org)),
            "expired_identity" => signed(&self.expired, introduction(&self.expired)),
            "identity_of_wrong_ca" => {
                signed(&self.wrong_authority, introduction(&self.wrong_authority))
            }
            "wrong_tls_cert_hash" => {
                conn.tls_cert_hash = Bytes::from_static(&[3; 32]);
                signed(valid, conn)
            }
            "nil_pki_id" => {
                conn.pki_id.clear();
                signed(valid, conn)
            }
            "pki_id_mismatch" => {
                conn.pki_id = PkiId::new(another.pki_id()).to_wire();
                signed(valid, conn)
            }
            "identity_of_other_peer" => signed(valid, introduction(another)),
            "nil_identity" => {
                conn.identity.clear();
                signed(valid, conn)
            }
            "tag_not_checked" => seal(
                valid,
                &GossipMessage {
                    nonce: 5,
                    channel: Bytes::from_static(b"bench"),
                    tag: Tag::ChanOnly.into(),
                    content: Some(Content::Conn(conn)),
                },
            ),
            "alive_instead_of_conn" => seal(valid, &alive(valid)),
            "garbage_payload" => {
                let payload = Bytes::from_static(&[0xff; 8]);
                frame(&Envelope { payload, ..Envelope::default() })
            }
            other => panic!("no remote behaves as in {other}"),
        }
    }

    fn verdict(&mut self, conn: ConnId, connected: bool) -> HandshakeVerdict {
        let world = &mut self.world;
        let first = world.sent.get(&conn).and_then(|frames| frames.first());
        HandshakeVerdict {
            accepted: world.notices.iter().any(|notice| is_opening(notice, conn)),
            connected,
            server_sent_conn_establish: first.is_some_and(is_introduction),
            stream_closed: world.closed.contains_key(&conn),
        }
    }
}

fn is_opening(notice: &Notice, of: ConnId) -> bool {
    matches!(notice, Notice::ConnectionOpened { conn, .. } if *conn == of)
}

fn introduction(peer: &SigningIdentity) -> ConnEstablish {
    ConnEstablish {
        pki_id: PkiId::new(peer.pki_id()).to_wire(),
        identity: peer.serialized().clone(),
        tls_cert_hash: Bytes::from_static(&REMOTE_TLS),
        probe: false,
    }
}

fn alive(peer: &SigningIdentity) -> GossipMessage {
    let membership = Some(Member {
        endpoint: "127.0.0.1:1".into(),
        metadata: Bytes::new(),
        pki_id: PkiId::new(peer.pki_id()).to_wire(),
    });
    let alive = AliveMessage {
        membership,
        timestamp: Some(PeerTime { inc_num: 1, seq_num: 1 }),
        identity: peer.serialized().clone(),
        ..AliveMessage::default()
    };
    message(Content::AliveMsg(alive))
}

fn signed(signer: &SigningIdentity, conn: ConnEstablish) -> Bytes {
    seal(signer, &message(Content::Conn(conn)))
}

fn message(content: Content) -> GossipMessage {
    GossipMessage {
        nonce: 0,
        channel: Bytes::new(),
        tag: Tag::Empty.into(),
        content: Some(content),
    }
}

fn seal(signer: &SigningIdentity, message: &GossipMessage) -> Bytes {
    let payload = Bytes::from(message.encode_to_vec());
    let signature = signer.sign(&payload).expect("a signature").into();
    frame(&Envelope { payload, signature, secret_envelope: None })
}

fn is_introduction(frame: &Bytes) -> bool {
    let envelope = Envelope::decode(frame.clone()).expect("an envelope");
    let message = GossipMessage::decode(envelope.payload).expect("a message");
    matches!(message.content, Some(Content::Conn(_)))
}
