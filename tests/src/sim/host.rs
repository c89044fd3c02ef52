//! A host: a node, its ledger and its clock, and what waits for it while it stands still.

use std::{collections::VecDeque, time::Duration};

use gossip_core::{Command, Config, ConnId, Endpoint, Event, Instant, Job, Node, UnixTime};

use super::{
    application::Application,
    byzantine::Manner,
    crypto::Credentials,
    draws::Draws,
    layout::{ANCHORS, Layout},
    network::Parcel,
    options::Options,
};

/// A host and the node on it.
#[derive(Debug)]
pub(super) struct Host {
    /// Its identity and key.
    pub credentials: Credentials,
    /// How many identities it had before.
    pub serial: u32,
    /// The node, while it runs.
    pub node: Option<Node>,
    /// How often a node was started here.
    pub generation: u32,
    /// By how much its wall clock is ahead, in nanoseconds.
    pub clock_offset: i64,
    /// By how much it gets further ahead, in nanoseconds per millisecond.
    pub clock_drift: i64,
    /// The number of blocks in each ledger, by channel.
    pub heights: Vec<u64>,
    /// The most that each ledger ever had: one that was lost is filled again.
    pub reached: Vec<u64>,
    /// When its next tick is planned.
    pub tick_at: Option<Instant>,
    /// When the last job that concerns its ledger is done.
    pub ledger_at: Instant,
    /// Whether it stands still.
    pub is_paused: bool,
    /// What arrived while it stood still.
    pub backlog: VecDeque<Input>,
    /// Whether it is switched off: nothing starts it.
    pub is_off: bool,
    /// Whether all its jobs are lost.
    pub loses_jobs: bool,
    /// Which channels it left.
    pub has_left: Vec<bool>,
    /// Whether its driver is hostile.
    pub is_byzantine: bool,
    /// How, if it is.
    pub manner: Manner,
    /// The incarnation of its last start, which is kept beside the ledger and lost with it.
    pub incarnation: UnixTime,
    /// What runs beside the node.
    pub application: Application,
}

/// Something that reaches a host's driver.
#[derive(Debug)]
pub(super) enum Input {
    /// The node's timer is due.
    Tick,
    /// An event as it is.
    Event(Box<Event>),
    /// A frame was written that had to wait.
    Written(ConnId),
    /// Something came out of a pipe.
    Arrived {
        /// The connection.
        conn: ConnId,
        /// What.
        parcel: Parcel,
        /// Whether it is a copy of one that arrived before.
        is_copy: bool,
    },
    /// A job is done.
    Job {
        /// The job.
        job: Box<Job>,
        /// What becomes of the answer.
        fate: Fate,
    },
    /// The application answers a message.
    Answer(Box<Command>),
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is done and answered.
    Done,
    /// It is not done, and the answer says so.
    Failed,
    /// It is done, and the answer is lost.
    Lost,
}

impl Host {
    /// Makes a host whose node was not started yet.
    #[must_use]
    pub(super) fn new(credentials: Credentials, channels: usize) -> Self {
        Self {
            credentials,
            serial: 0,
            node: None,
            generation: 0,
            clock_offset: 0,
            clock_drift: 0,
            heights: vec![0; channels],
            reached: vec![0; channels],
            tick_at: None,
            ledger_at: Instant::ZERO,
            is_paused: false,
            backlog: VecDeque::new(),
            is_off: false,
            loses_jobs: false,
            has_left: vec![false; channels],
            is_byzantine: false,
            manner: Manner::Anything,
            incarnation: UnixTime::default(),
            application: Application::new(channels),
        }
    }

    /// Says whether the node runs and does not stand still.
    #[must_use]
    pub(super) fn is_running(&self) -> bool {
        self.node.is_some() && !self.is_paused
    }

    /// Reads the wall clock.
    #[must_use]
    pub(super) fn wall(&self, now: Instant) -> UnixTime {
        let millis = (now - Instant::ZERO).as_millis() as i64;
        let ahead = self.clock_offset + self.clock_drift * millis;
        let true_time = START.as_nanos() + now.as_nanos();
        UnixTime::from_nanos(true_time.saturating_add_signed(ahead))
    }

    /// Makes the configuration of a node that starts now.
    #[must_use]
    pub(super) fn config(
        &self,
        ix: usize,
        layout: &Layout,
        now: Instant,
        options: &Options,
        draws: &mut Draws,
    ) -> Config {
        let Credentials { identity, facts, .. } = &self.credentials;
        let (pki_id, org) = (facts.pki_id, facts.org.clone());
        let mut config = Config::new(identity.clone(), pki_id, org, layout.internal(ix));
        config.rng_seed = draws.bytes32();
        config.limits = options.limits.clone();
        // Whoever still knows its last incarnation begins with a higher one (§6).
        config.wall_clock = self.wall(now).max(self.incarnation + Duration::from_nanos(1));
        config.external_endpoint = layout.is_public(ix).then(|| layout.external(ix));
        config.bootstrap = bootstrap(ix, layout);
        config.state.enabled = true;
        if options.is_static {
            hold_still(&mut config);
        }
        config
    }
}

/// Lets a node do nothing by the clock for a day, once it has met the others.
fn hold_still(config: &mut Config) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    for interval in [
        &mut config.alive_time_interval,
        &mut config.pull_interval,
        &mut config.publish_state_info_interval,
        &mut config.request_state_info_interval,
        &mut config.membership_tracker_interval,
        &mut config.reconnect_interval,
        &mut config.identity_usage_threshold,
        &mut config.state.check_interval,
    ] {
        *interval = DAY;
    }
    config.alive_expiration_timeout = DAY * 5;
}

fn bootstrap(ix: usize, layout: &Layout) -> Vec<Endpoint> {
    let orgs = layout.orgs.len();
    let hosts = (ix % orgs..layout.names.len()).step_by(orgs).take(ANCHORS);
    hosts.filter(|host| *host != ix).map(|host| layout.internal(host)).collect()
}

/// When a run starts, on a wall clock that is right.
pub(super) const START: UnixTime = UnixTime::from_secs(1_700_000_000);
