//! What stands in a log, each type listed once.
//!
//! The lists are complete because the compiler says so: nothing that a node can be told or do goes
//! unrecorded. A number is never used for anything else than what it was first used for; a new
//! variant takes a new one. Changed fields of an old one are a new [`FORMAT`](super::FORMAT).

use bytes::Bytes;

use super::code::{Put, Sink, Source, Take, code, fields, named_fields, put, take};
use crate::{
    Acks, Action, Chaincode, ChannelConfig, ChannelId, CloseReason, Command, Completion, Config,
    ConnId, Criteria, DialId, DialPurpose, Event, Fault, Identity, IdentityFacts, JobId, JobKind,
    Limits, Message, MessageKind, Notice, OrgId, Outcome, PeerEndpoints, PkiId, RequestId, Signed,
    Stamp, StateConfig, TlsBinding, TooFewAcks, record::Malformed,
};

named_fields!(Config {
    rng_seed,
    wall_clock,
    identity,
    pki_id,
    org,
    endpoint,
    external_endpoint,
    metadata,
    tls,
    bootstrap,
    propagate_iterations,
    propagate_peer_num,
    max_propagation_burst_size,
    max_propagation_burst_latency,
    max_block_count_to_store,
    block_tree,
    pull_interval,
    pull_peer_num,
    digest_wait_time,
    request_wait_time,
    response_wait_time,
    publish_cert_period,
    publish_state_info_interval,
    request_state_info_interval,
    membership_tracker_interval,
    dial_timeout,
    conn_timeout,
    alive_time_interval,
    alive_expiration_timeout,
    reconnect_interval,
    max_connection_attempts,
    msg_expiration_factor,
    leader_alive_threshold,
    identity_usage_threshold,
    job_timeout,
    state,
    limits,
});

named_fields!(StateConfig {
    enabled,
    check_interval,
    response_timeout,
    batch_size,
    max_retries,
    block_buffer_size,
    channel_size,
});

named_fields!(Limits {
    frame_bytes_max,
    sent_frame_bytes_max,
    connections_max,
    handshake_frames_max,
    handshake_bytes_max,
    frames_in_flight_max,
    bytes_in_flight_max,
    control_frames_max,
    control_bytes_max,
    reply_frames_max,
    reply_bytes_max,
    gossip_frames_max,
    gossip_bytes_max,
    claims_per_connection_max,
    claims_max,
    claim_bytes_max,
    rivals_max,
    identities_max,
    identity_bytes_max,
    members_max,
    member_bytes_max,
    contacts_max,
    elements_max,
    channels_max,
    state_info_bytes_max,
    leaders_max,
    requests_max,
    foreign_state_info_max,
    buffered_blocks_max,
    buffered_bytes_max,
    pull_ids_max,
    pull_id_bytes_max,
    pull_items_max,
    pull_update_bytes_max,
    pull_rounds_max,
    pull_hellos_max,
    pull_failures_max,
    state_response_bytes_max,
});

code!(Event {
    0 Tick,
    1 Message { conn, frame },
    2 Connected { conn, dial, remote, tls },
    3 Pinged { dial },
    4 DialFailed { dial, error },
    5 Disconnected { conn, write_failed },
    6 Sent { conn, frames },
    7 JobDone(completion),
    8 WallClock(time),
});

code!(Command {
    0 JoinChannel { channel, config, height },
    1 LeaveChannel { channel },
    2 GossipBlock { channel, number, block },
    3 SetLedgerHeight { channel, height },
    4 SetChaincodes { channel, chaincodes },
    5 SendLeadership { channel, is_declaration },
    6 SetMetadata { metadata },
    7 SendByCriteria { request, message, criteria },
    8 Send { message, nonce, to },
    9 Accept { kinds },
    10 Acknowledge { conn, nonce, error },
    11 Respond { conn, nonce, message },
    12 Connect { endpoint },
    13 SuspectPeers,
    14 Stop,
});

code!(Outcome {
    0 Accepted,
    1 Signature(signature),
    2 Identity(facts),
    3 Rejected(reason),
    4 Failed(reason),
    5 Blocks(blocks),
});

code!(MessageKind {
    0 PrivateData,
    1 PrivateRequest,
    2 PrivateResponse,
});

code!(DialPurpose {
    0 Stream,
    1 Handshake,
    2 Ping,
});

fields!(TlsBinding { local, remote });
fields!(Completion { id, outcome });
fields!(IdentityFacts { pki_id, org, expires_at });
fields!(ChannelConfig { sequence, orgs });
fields!(Chaincode { name, version });
fields!(Message { channel, kind, body });
fields!(Criteria { channel, to, max_peers, min_ack, timeout });
fields!(Signed { payload, signature });
fields!(Stamp { incarnation, sequence });
fields!(PeerEndpoints { pki_id, endpoints });
fields!(Acks { accepted, refused, unanswered });
fields!(TooFewAcks { wanted, acks });

put!(JobKind {
    0 Sign { payload },
    1 Verify { identity, message, secret },
    2 ValidateIdentity { identity },
    3 CheckAccess { channel, identity, message, secret },
    4 VerifyBlock { channel, number, block },
    5 Commit { channel, number, block },
    6 ReadBlocks { channel, first, last, bytes_max },
});

put!(Notice {
    0 ConnectionOpened { conn, pki_id, inbound },
    1 ConnectionClosed { conn, pki_id, reason },
    2 HandshakeFailed { conn, remote, fault },
    3 DialFailed { endpoint, error },
    4 MemberAlive { pki_id, endpoint },
    5 MemberDead { pki_id },
    6 MemberForgotten { pki_id },
    7 IdentityLearned { pki_id, org },
    8 IdentityRemoved { pki_id },
    9 ChannelPeer { channel, pki_id, height, left },
    10 ChannelMembership { channel, online, offline },
    11 Leadership { channel, pki_id, stamp, is_declaration },
    12 Message { conn, from, nonce, message },
    13 SendFinished { request, result },
    14 BlockReceived { channel, number, block, from },
    15 BlockCommitted { channel, number },
    16 CommitFailed { channel, number, reason },
    17 SigningFailed { reason },
    18 OwnIdentityElsewhere { endpoint },
    19 PeerMisbehaved { conn, pki_id, fault },
    20 StateTransferStarted { channel, height, target },
    21 StateTransferEnded { channel, height, is_complete },
});

impl Put for Action {
    fn put(&self, out: &mut impl Sink) {
        match self {
            Self::Dial { dial, endpoint, purpose } => {
                out.number(0);
                (*dial, *purpose).put(out);
                endpoint.put(out);
            }
            Self::Send { conn, frame } => {
                out.number(1);
                conn.put(out);
                frame.put(out);
            }
            Self::Close { conn, reason } => {
                out.number(2);
                conn.put(out);
                reason.put(out);
            }
            Self::Job(job) => {
                out.number(3);
                job.id().put(out);
                job.kind().put(out);
            }
            Self::Notify(notice) => {
                out.number(4);
                notice.put(out);
            }
        }
    }
}

/// By its order: it stands in hashes alone.
impl Put for CloseReason {
    fn put(&self, out: &mut impl Sink) {
        out.number(*self as u64);
    }
}

/// By its order: it stands in hashes alone.
impl Put for Fault {
    fn put(&self, out: &mut impl Sink) {
        out.number(*self as u64);
    }
}

impl Put for Result<Acks, TooFewAcks> {
    fn put(&self, out: &mut impl Sink) {
        self.is_ok().put(out);
        match self {
            Ok(acks) => acks.put(out),
            Err(few) => few.put(out),
        }
    }
}

/// Names, by what they are made of.
macro_rules! names {
    ($($type:ident: $of:ty, $get:ident;)+) => {$(
        impl Put for $type {
            fn put(&self, out: &mut impl Sink) {
                self.$get().put(out);
            }
        }

        impl Take for $type {
            fn take(from: &mut Source) -> Result<Self, Malformed> {
                <$of>::take(from).map(Self::new)
            }
        }
    )+};
}

names! {
    ChannelId: Bytes, as_bytes;
    ConnId: u64, get;
    DialId: u64, get;
    Identity: Bytes, as_bytes;
    JobId: u64, get;
    OrgId: Bytes, as_bytes;
    PkiId: [u8; 32], as_bytes;
    RequestId: u64, get;
}
