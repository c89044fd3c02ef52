//! How a node is set up, and what bounds it.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use bytes::Bytes;

use crate::{Endpoint, Identity, OrgId, PkiId, UnixTime};

/// The set-up of a node. Names are those of `core.yaml` under `peer.gossip`.
///
/// [`Config::new`] fills in Fabric's defaults. Zero means zero, not "default".
#[derive(Clone, Debug)]
pub struct Config {
    /// Seeds every random choice of the node.
    pub rng_seed: [u8; 32],
    /// The wall clock when the node is made; also its incarnation (D-1).
    pub wall_clock: UnixTime,
    /// Our identity as it travels.
    pub identity: Identity,
    /// The PKI-ID of our identity.
    pub pki_id: PkiId,
    /// Our organisation.
    pub org: OrgId,
    /// Where our own organisation reaches us.
    pub endpoint: Endpoint,
    /// Where other organisations reach us, `None` if they may not know.
    pub external_endpoint: Option<Endpoint>,
    /// Opaque bytes in our alive messages.
    pub metadata: Bytes,
    /// Whether connections carry TLS; handshakes are then bound to its certificates.
    pub tls: bool,
    /// Peers of our organisation to contact at the start.
    pub bootstrap: Vec<Endpoint>,
    /// How often a message is emitted; zero turns pushing off.
    pub propagate_iterations: u32,
    /// To how many peers a message is pushed.
    pub propagate_peer_num: usize,
    /// How many messages are emitted together at most.
    pub max_propagation_burst_size: usize,
    /// How long a message waits for others at most.
    pub max_propagation_burst_latency: Duration,
    /// How far below the highest block one is still taken, stored and advertised.
    pub max_block_count_to_store: u64,
    /// Whether blocks go down a tree of the peers that do the same, instead of to random peers.
    /// Not Fabric's; such peers know each other by a mark that Fabric's do not see.
    pub block_tree: bool,
    /// The pause between two membership synchronisations and between two pulls.
    pub pull_interval: Duration,
    /// How many peers are asked each time.
    pub pull_peer_num: usize,
    /// How long a round of pulling waits for what peers have.
    pub digest_wait_time: Duration,
    /// How long after a peer asked what we have it may ask for it.
    pub request_wait_time: Duration,
    /// How long a round of pulling waits for what it asked for.
    pub response_wait_time: Duration,
    /// How long after the start our alive messages carry our identity.
    pub publish_cert_period: Duration,
    /// The pause between two publications of a changed StateInfo.
    pub publish_state_info_interval: Duration,
    /// The pause between two requests for StateInfo.
    pub request_state_info_interval: Duration,
    /// The pause between two looks at who came to a channel and who went.
    pub membership_tracker_interval: Duration,
    /// How long the driver may take to connect; the node does not time dials itself.
    pub dial_timeout: Duration,
    /// How long a remote may take to send its connection message.
    pub conn_timeout: Duration,
    /// The pause between two of our alive messages.
    pub alive_time_interval: Duration,
    /// The silence after which a peer is taken for dead.
    pub alive_expiration_timeout: Duration,
    /// The pause between two attempts to reach a dead, bootstrap or anchor peer.
    pub reconnect_interval: Duration,
    /// How often a bootstrap or anchor peer is tried, in each of the two phases.
    pub max_connection_attempts: u32,
    /// How many times `alive_expiration_timeout` a silent peer is remembered.
    pub msg_expiration_factor: u32,
    /// The silence after which a leader is taken for gone; a leadership message is refused as old
    /// for 20 times as long.
    pub leader_alive_threshold: Duration,
    /// An identity that nobody used for this long is forgotten.
    pub identity_usage_threshold: Duration,
    /// A job that is not answered in this time is taken for failed.
    pub job_timeout: Duration,
    /// How blocks are fetched that are too far back to be pulled.
    pub state: StateConfig,
    /// What everything that a peer can make grow is held to.
    pub limits: Limits,
}

impl Config {
    /// Takes what has no default, and Fabric's defaults for the rest.
    #[must_use]
    pub fn new(identity: Identity, pki_id: PkiId, org: OrgId, endpoint: Endpoint) -> Self {
        Self {
            rng_seed: [0; 32],
            wall_clock: UnixTime::default(),
            identity,
            pki_id,
            org,
            endpoint,
            external_endpoint: None,
            metadata: Bytes::new(),
            tls: true,
            bootstrap: Vec::new(),
            propagate_iterations: 1,
            propagate_peer_num: 3,
            max_propagation_burst_size: 10,
            max_propagation_burst_latency: Duration::from_millis(10),
            max_block_count_to_store: 10,
            block_tree: true,
            pull_interval: Duration::from_secs(4),
            pull_peer_num: 3,
            digest_wait_time: Duration::from_secs(1),
            request_wait_time: Duration::from_millis(1500),
            response_wait_time: Duration::from_secs(2),
            publish_cert_period: Duration::from_secs(10),
            publish_state_info_interval: Duration::from_secs(4),
            request_state_info_interval: Duration::from_secs(4),
            membership_tracker_interval: Duration::from_secs(5),
            dial_timeout: Duration::from_secs(3),
            conn_timeout: Duration::from_secs(2),
            alive_time_interval: Duration::from_secs(5),
            alive_expiration_timeout: Duration::from_secs(25),
            reconnect_interval: Duration::from_secs(25),
            max_connection_attempts: 120,
            msg_expiration_factor: 20,
            leader_alive_threshold: Duration::from_secs(10),
            identity_usage_threshold: Duration::from_secs(3600),
            job_timeout: Duration::from_secs(30),
            state: StateConfig::default(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.identity.as_bytes().is_empty() {
            return Err(ConfigError::EmptyIdentity);
        }
        if self.org.as_bytes().is_empty() {
            return Err(ConfigError::EmptyOrg);
        }
        for endpoint in core::iter::once(&self.endpoint).chain(&self.external_endpoint) {
            if endpoint.port().is_none() {
                return Err(ConfigError::EndpointWithoutPort(endpoint.clone()));
            }
        }
        let intervals = [
            ("pull_interval", self.pull_interval),
            ("digest_wait_time", self.digest_wait_time),
            ("request_wait_time", self.request_wait_time),
            ("response_wait_time", self.response_wait_time),
            ("publish_state_info_interval", self.publish_state_info_interval),
            ("request_state_info_interval", self.request_state_info_interval),
            ("membership_tracker_interval", self.membership_tracker_interval),
            ("conn_timeout", self.conn_timeout),
            ("alive_time_interval", self.alive_time_interval),
            ("alive_expiration_timeout", self.alive_expiration_timeout),
            ("reconnect_interval", self.reconnect_interval),
            ("leader_alive_threshold", self.leader_alive_threshold),
            ("identity_usage_threshold", self.identity_usage_threshold),
            ("job_timeout", self.job_timeout),
            ("state.check_interval", self.state.check_interval),
            ("state.response_timeout", self.state.response_timeout),
        ];
        match intervals.iter().find(|(_, interval)| *interval < Self::INTERVAL_MIN) {
            Some((name, _)) => Err(ConfigError::TooShort { name, min: Self::INTERVAL_MIN }),
            None => Ok(()),
        }
    }

    /// No interval may be shorter: a node that only waits must not spin.
    pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
}

/// State transfer. Names and defaults are those of `core.yaml` under `peer.gossip.state`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateConfig {
    /// Whether we fetch blocks; others are served in any case (S-3).
    pub enabled: bool,
    /// The pause between two looks at whether we are behind.
    pub check_interval: Duration,
    /// How long an answer may take before the next peer is asked.
    pub response_timeout: Duration,
    /// How many blocks follow the first of a request, asked for and served: a batch of 10 has
    /// eleven blocks (Q70-9).
    pub batch_size: u64,
    /// How often a request is repeated before the attempt is given up.
    pub max_retries: u32,
    /// No more is asked for while more blocks than this wait to be committed.
    pub block_buffer_size: usize,
    /// Requests of others that wait, per channel; more are dropped.
    pub channel_size: usize,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            check_interval: Duration::from_secs(10),
            response_timeout: Duration::from_secs(3),
            batch_size: 10,
            max_retries: 3,
            block_buffer_size: 20,
            channel_size: 100,
        }
    }
}

/// Bounds on everything that a peer can make grow, with what happens when one is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of one frame that arrives; a larger one closes the connection. Fabric: 100 MiB.
    pub frame_bytes_max: usize,
    /// Bytes of one frame that is sent; a larger one is refused, or not passed on.
    pub sent_frame_bytes_max: usize,
    /// Connections, in any state; a new inbound one is closed.
    pub connections_max: usize,
    /// Frames of a remote that wait for its handshake to be verified; more are dropped.
    pub handshake_frames_max: usize,
    /// Bytes of such frames; more are dropped.
    pub handshake_bytes_max: usize,
    /// Frames that the driver holds of one connection.
    pub frames_in_flight_max: usize,
    /// Bytes that the driver holds of one connection; one frame may exceed it.
    pub bytes_in_flight_max: usize,
    /// Frames in a control lane; one more closes the connection.
    pub control_frames_max: usize,
    /// Bytes in a control lane, but for one frame; more close the connection.
    pub control_bytes_max: usize,
    /// Frames in a reply lane; one more is dropped.
    pub reply_frames_max: usize,
    /// Bytes in a reply lane, but for one frame; more are dropped.
    pub reply_bytes_max: usize,
    /// Frames in a gossip lane; one more drops the oldest.
    pub gossip_frames_max: usize,
    /// Bytes in a gossip lane, but for one frame; more drop the oldest.
    pub gossip_bytes_max: usize,
    /// Messages of one connection that wait for a job; more are dropped.
    pub claims_per_connection_max: usize,
    /// Messages that wait for a job; more are dropped.
    pub claims_max: usize,
    /// Bytes of such messages; more are dropped.
    pub claim_bytes_max: usize,
    /// Different copies of one statement that wait for the first to be verified; more are dropped.
    pub rivals_max: usize,
    /// Identities that are stored; more are refused until others expire or go unused.
    pub identities_max: usize,
    /// Bytes of one identity; a longer one is refused.
    pub identity_bytes_max: usize,
    /// Peers that are known, alive or dead; more are refused until others are forgotten.
    pub members_max: usize,
    /// Bytes of one alive message but for the identity in it; a longer one is refused.
    pub member_bytes_max: usize,
    /// Bootstrap and anchor peers that are being contacted; more are not.
    pub contacts_max: usize,
    /// Elements of one membership response or snapshot that are looked at; the rest is ignored.
    pub elements_max: usize,
    /// Channels that can be joined.
    pub channels_max: usize,
    /// Bytes of one StateInfo or leadership message; a longer one is refused.
    pub state_info_bytes_max: usize,
    /// Authors of leadership messages that are remembered, per channel; the oldest makes room.
    pub leaders_max: usize,
    /// Messages that wait for acknowledgements; one more is refused.
    pub requests_max: usize,
    /// StateInfo of channels that we are not in; the oldest makes room.
    pub foreign_state_info_max: usize,
    /// Blocks that wait for an earlier one, per channel; others are not buffered.
    pub buffered_blocks_max: usize,
    /// Bytes of such blocks, per channel.
    pub buffered_bytes_max: usize,
    /// Ids of one digest or request that are looked at, and items that one round asks for; the
    /// rest is ignored.
    pub pull_ids_max: usize,
    /// Bytes of one such id; longer ones are ignored.
    pub pull_id_bytes_max: usize,
    /// Items of one update that are sent or looked at; the rest is left out or ignored.
    pub pull_items_max: usize,
    /// Bytes of items in an update of ours, but for one item; more are left out. At most half of
    /// `sent_frame_bytes_max` counts.
    pub pull_update_bytes_max: usize,
    /// Rounds of pulling under way, of identities and of each channel; the oldest makes room.
    pub pull_rounds_max: usize,
    /// Hellos of one peer that may still be followed by a request; more are not answered.
    pub pull_hellos_max: usize,
    /// Bytes of blocks in a state response of ours, but for one block; more are left out. At most
    /// half of `frame_bytes_max` counts.
    pub state_response_bytes_max: usize,
    /// Pulled identities that did not hold, remembered with who sent them; the oldest makes room.
    pub pull_failures_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        Self {
            frame_bytes_max: 100 * MIB,
            sent_frame_bytes_max: 100 * MIB,
            connections_max: 4096,
            handshake_frames_max: 64,
            handshake_bytes_max: 4 * MIB,
            frames_in_flight_max: 64,
            bytes_in_flight_max: 2 * MIB,
            control_frames_max: 1024,
            control_bytes_max: 32 * MIB,
            reply_frames_max: 256,
            reply_bytes_max: 32 * MIB,
            gossip_frames_max: 1024,
            gossip_bytes_max: 32 * MIB,
            claims_per_connection_max: 2048,
            claims_max: 16_384,
            claim_bytes_max: 256 * MIB,
            rivals_max: 8,
            identities_max: 16_384,
            identity_bytes_max: 64 * KIB,
            members_max: 16_384,
            member_bytes_max: 16 * KIB,
            contacts_max: 1024,
            elements_max: 16_384,
            channels_max: 256,
            state_info_bytes_max: 64 * KIB,
            leaders_max: 1024,
            requests_max: 1024,
            foreign_state_info_max: 4096,
            buffered_blocks_max: 1024,
            buffered_bytes_max: 256 * MIB,
            pull_ids_max: 16_384,
            pull_id_bytes_max: 64,
            pull_items_max: 4096,
            pull_update_bytes_max: 16 * MIB,
            pull_rounds_max: 32,
            pull_hellos_max: 16,
            state_response_bytes_max: 16 * MIB,
            pull_failures_max: 4096,
        }
    }
}

/// A set-up that no node can run with.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The own identity is empty.
    EmptyIdentity,
    /// The own organisation is empty.
    EmptyOrg,
    /// An endpoint is not `host:port`.
    EndpointWithoutPort(Endpoint),
    /// An interval would make the node spin.
    TooShort {
        /// The field's name.
        name: &'static str,
        /// The shortest that is allowed.
        min: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyIdentity => f.write_str("the own identity is empty"),
            Self::EmptyOrg => f.write_str("the own organisation is empty"),
            Self::EndpointWithoutPort(endpoint) => {
                write!(f, "endpoint {:?} is not host:port", endpoint.as_str())
            }
            Self::TooShort { name, min } => write!(f, "{name} is shorter than {min:?}"),
        }
    }
}

impl core::error::Error for ConfigError {}
