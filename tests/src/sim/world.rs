//! The world: all hosts, what is between them, and the loop that lets things happen.

use std::{collections::BTreeMap, time::Duration};

use gossip_core::{
    ChannelId, Command, ConnId, Event, Instant, Node, Notice, PkiId, UnixTime, record::Digest,
};

use super::{
    byzantine::Memory,
    check::{Checkers, Facts, Issued, Seen, Violation, facts},
    crypto::Authority,
    draws::{Draws, Streams},
    faults::{Control, Fired},
    hash::Map,
    host::{Host, Input, START},
    known::Known,
    layout::Layout,
    metrics::Metrics,
    network::Network,
    options::{FaultClass, Options, Scheme},
    orderer::Orderer,
    queue::Queue,
    record::Recorder,
    samples::Samples,
    trace::{Trace, What},
};

/// All hosts and what is between them.
#[derive(Debug)]
pub struct World {
    pub(super) options: Options,
    pub(super) now: Instant,
    pub(super) layout: Layout,
    pub(super) authority: Authority,
    pub(super) hosts: Vec<Host>,
    pub(super) net: Network,
    pub(super) orderer: Orderer,
    pub(super) queue: Queue<Planned>,
    pub(super) draws: Streams,
    /// How often an application did something.
    pub(super) acts: u64,
    pub(super) is_healed: bool,
    /// Since when nothing is in anybody's way.
    pub(super) calm_since: Option<Instant>,
    pub(super) fired: Fired,
    pub(super) memory: Memory,
    pub(super) metrics: Metrics,
    pub(super) trace: Trace,
    pub(super) samples: Option<Samples>,
    pub(super) recorder: Recorder,
    pub(super) issued: Map<PkiId, Issued>,
    /// Those that expire, and when.
    pub(super) expiring: Vec<(PkiId, UnixTime)>,
    /// Connections of which the host whose turn it is has written frames.
    pub(super) written: Vec<ConnId>,
    /// What nodes told, if it is kept.
    pub(super) heard: Option<Vec<(usize, Notice)>>,
    pub(super) digest: Digest,
    /// Of what was in actions.
    pub(super) hashes: Known<u64>,
    pub(super) checkers: Checkers,
    pub(super) violation: Option<Violation>,
}

/// Counters of all nodes together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Block copies that arrived.
    pub block_copies: u64,
    /// Blocks that arrived for the first time.
    pub blocks_received: u64,
    /// Signatures that were checked.
    pub verifies: u64,
    /// Statements and blocks that were news.
    pub unique_messages: u64,
}

/// Something that is to happen.
#[derive(Debug)]
pub(super) enum Planned {
    /// Something reaches a host, unless it was started again meanwhile.
    Input { host: usize, generation: u32, input: Input },
    /// Something happens to the world.
    Control(Control),
}

impl World {
    /// Makes a world whose hosts will start within the first seconds.
    ///
    /// # Errors
    ///
    /// If the options make no sense.
    pub fn new(options: Options) -> Result<Self, String> {
        options.check()?;
        let layout = Layout::new(&options);
        let recorded = options.record.as_deref().map(|name| layout.host(name)).transpose()?;
        let acquaintances = (0..options.peers).map(|host| layout.acquaintances(host));
        let mut world = Self {
            now: BEGINNING,
            authority: authority(&options, &layout),
            hosts: Vec::new(),
            net: Network::new(options.seed, options.peers),
            orderer: Orderer::new(layout.channels.len()),
            queue: Queue::default(),
            acts: 0,
            draws: Streams::new(&options),
            is_healed: false,
            calm_since: None,
            fired: Fired::default(),
            memory: Memory::default(),
            metrics: Metrics::new(acquaintances.collect()),
            trace: Trace::new(4096.max(options.trace * 64)),
            recorder: Recorder::new(recorded),
            samples: options.samples.then(Samples::default),
            issued: Map::default(),
            expiring: Vec::new(),
            written: Vec::new(),
            heard: None,
            digest: Digest::default(),
            hashes: Known::default(),
            checkers: Checkers::new(options.peers),
            violation: None,
            layout,
            options,
        };
        (0..world.options.peers).for_each(|ix| world.add_host(ix));
        world.plan_controls();
        Ok(world)
    }

    /// Lets things happen for a while, or until a checker objects.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.sample_at().filter(|at| *at <= until) {
            self.run_until(at);
            if self.violation.is_some() {
                return;
            }
            self.look_at_views();
        }
        self.run_until(until);
    }

    fn run_until(&mut self, until: Instant) {
        while self.violation.is_none() {
            let Some((at, planned)) = self.queue.pop(until) else {
                self.now = until;
                return;
            };
            self.now = at;
            match planned {
                Planned::Input { host, generation, input } => {
                    if self.hosts[host].generation == generation {
                        self.take(host, input);
                    }
                }
                Planned::Control(control) => self.control(control),
            }
        }
    }

    /// Returns when the next sample is taken, if samples are kept.
    fn sample_at(&self) -> Option<Instant> {
        Some(BEGINNING + self.samples.as_ref()?.next())
    }

    fn look_at_views(&mut self) {
        let (at, hosts) = (self.elapsed(), self.hosts.iter().zip(&self.metrics.alive));
        let running = hosts.filter(|(host, _)| host.is_running() && !host.is_byzantine);
        let views: Vec<_> =
            running.map(|(host, alive)| (host.credentials.facts.pki_id, alive)).collect();
        if let Some(samples) = &mut self.samples {
            samples.looked(at, &views);
        }
    }

    /// Returns the time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now - BEGINNING
    }

    /// Returns what a wall clock that is right has counted since the simulation's origin.
    pub(super) fn since_start(&self) -> Duration {
        self.now - Instant::ZERO
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns the first thing that may not be.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Returns the hash of everything that the nodes did.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// Returns the measurements.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts the messages that honest peers sent, by kind.
    #[must_use]
    pub fn messages(&self) -> BTreeMap<&'static str, u64> {
        self.checkers.messages()
    }

    /// Counts how the requests of honest peers ended that had to be acknowledged.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<&'static str, u64> {
        self.checkers.ends()
    }

    /// Expects from some time on that nothing that is sent is lost.
    pub fn be_calm(&mut self, since: Instant) {
        self.calm_since.get_or_insert(since);
    }

    /// Returns how often each class of faults struck.
    #[must_use]
    pub fn fired(&self) -> &Fired {
        &self.fired
    }

    /// Returns who is who.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the node on a host, while it runs.
    #[must_use]
    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].node.as_ref()
    }

    /// Says whether a host's driver is hostile.
    #[must_use]
    pub fn is_byzantine(&self, host: usize) -> bool {
        self.hosts[host].is_byzantine
    }

    /// Returns the name that a host's present identity has.
    #[must_use]
    pub fn pki_id(&self, host: usize) -> PkiId {
        self.hosts[host].credentials.facts.pki_id
    }

    /// Returns the number of blocks in a host's ledger, and how many there are.
    #[must_use]
    pub fn heights(&self, host: usize, channel: usize) -> (u64, u64) {
        (self.hosts[host].heights[channel], self.orderer.height(channel))
    }

    /// Counts the events that were planned so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.queue.planned()
    }

    /// Writes the last `count` things that concern the hosts, all of them if there are none.
    #[must_use]
    pub fn trace(&self, hosts: &[usize], count: usize) -> Vec<String> {
        self.trace.lines(hosts, count, &self.layout)
    }

    /// Keeps no trace, which costs more than all else of a run that does not fail.
    pub(super) fn forgo_trace(&mut self) {
        self.trace = Trace::new(0);
    }

    /// Shows something to the checkers as if a host had done it; the first objection is kept.
    ///
    /// What a hostile host does is not held against the nodes.
    pub fn observe(&mut self, host: usize, seen: &Seen<'_>) {
        if self.hosts[host].is_byzantine || self.violation.is_some() {
            return;
        }
        self.violation = self.checkers.see(host, seen, &facts!(self)).err();
    }

    /// Notes that something may not be which no host did.
    pub(super) fn object(&mut self, checker: &'static str, hosts: Vec<usize>, what: String) {
        let violation = Violation { at: self.now, checker, hosts, what };
        self.violation.get_or_insert(violation);
    }

    pub(super) fn has(&self, class: FaultClass) -> bool {
        self.options.faults.has(class)
    }

    /// Notes that something befell a host.
    pub(super) fn befall(&mut self, host: usize, text: impl Into<String>) {
        self.trace.note(self.now, host, What::Fault(text.into()));
    }

    pub(super) fn plan_control(&mut self, after: Duration, control: Control) {
        self.queue.push(self.now + after, Planned::Control(control));
    }

    /// Plans that something reaches a host.
    pub(super) fn plan_input(&mut self, at: Instant, host: usize, input: Input) {
        let generation = self.hosts[host].generation;
        self.queue.push(at, Planned::Input { host, generation, input });
    }

    fn add_host(&mut self, ix: usize) {
        let draws = &mut self.draws.hosts;
        let (expires, share) = (draws.chance(150), 300 + draws.below(600));
        let starts = draws.between(Duration::ZERO, Duration::from_secs(5));
        let after = self.options.duration.mul_f64(share as f64 / 1000.0);
        let expires_at = START + self.since_start() + after;
        let expires_at = Some(expires_at).filter(|_| expires && self.has(FaultClass::Expiry));
        let (offset, drift) = self.draw_clock();
        let is_byzantine = self.is_byzantine_place(ix);
        let credentials = self.issue(ix, 0, expires_at, is_byzantine);
        let mut host = Host::new(credentials, self.layout.channels.len());
        host.is_byzantine = is_byzantine;
        (host.clock_offset, host.clock_drift) = (offset, drift);
        self.hosts.push(host);
        if expires_at.is_some() {
            self.fired.strike(FaultClass::Expiry);
            let renews = self.draws.hosts.between(Duration::ZERO, Duration::from_secs(60));
            self.plan_control(after + renews, Control::Renew { host: ix });
        }
        self.plan_control(starts, Control::Start { host: ix });
    }

    /// Issues an identity to a host.
    pub(super) fn issue(
        &mut self,
        host: usize,
        serial: u32,
        expires_at: Option<UnixTime>,
        is_byzantine: bool,
    ) -> super::crypto::Credentials {
        let (org, name) = (self.layout.org_name(host), &self.layout.names[host]);
        let credentials = self.authority.issue(&org, name, serial, expires_at);
        // Certificates end with a whole second.
        let expires_at = expires_at.and(credentials.facts.expires_at);
        let issued = Issued { host, expires_at, is_byzantine };
        self.issued.insert(credentials.facts.pki_id, issued);
        self.expiring.extend(expires_at.map(|at| (credentials.facts.pki_id, at)));
        credentials
    }

    /// Starts the node of a host that is down.
    pub(super) fn start(&mut self, ix: usize) {
        let host = &mut self.hosts[ix];
        if host.node.is_some() || host.is_off {
            return;
        }
        host.generation += 1;
        host.tick_at = None;
        let draws = &mut self.draws.hosts;
        let config = host.config(ix, &self.layout, self.now, &self.options, draws);
        host.incarnation = config.wall_clock;
        let wall = host.wall(self.now);
        let (inside, outside) = (config.endpoint.clone(), config.external_endpoint.clone());
        let seen = Seen::Started {
            pki_id: config.pki_id,
            wall: config.wall_clock,
            endpoints: (&inside, outside.as_ref()),
            limits: &config.limits.clone(),
        };
        self.recorder.started(ix, &config, self.now);
        host.node = Some(Node::new(config, self.now).expect("a set-up that a node can run with"));
        self.metrics.started(ix);
        self.befall(ix, "starts");
        self.observe(ix, &seen);
        self.handle(ix, Event::WallClock(wall));
        for channel in self.layout.channels_of(ix) {
            if !self.hosts[ix].has_left[channel] {
                self.enter(ix, channel);
            }
        }
        self.open_application(ix);
    }

    /// Lets a node join a channel, or learn its new configuration.
    pub(super) fn enter(&mut self, host: usize, ix: usize) {
        let config = self.layout.channels[ix].config.clone();
        let (channel, height) = (self.channel_id(ix), Some(self.hosts[host].heights[ix]));
        self.command(host, Command::JoinChannel { channel, config, height });
        self.say_chaincodes(host, ix);
    }

    /// Adds the counters of all nodes that run.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for stats in self.hosts.iter().filter_map(|host| host.node.as_ref()).map(Node::stats) {
            totals.block_copies += stats.block_copies;
            totals.blocks_received += stats.blocks_received;
            totals.verifies += stats.verifies;
            totals.unique_messages += stats.unique_messages;
        }
        totals
    }

    pub(super) fn channel_id(&self, channel: usize) -> ChannelId {
        self.layout.channels[channel].id.clone()
    }
}

fn authority(options: &Options, layout: &Layout) -> Authority {
    let secret = Draws::fork(options.seed, "authority").bytes32();
    match options.scheme {
        Scheme::Mac => Authority::new(secret),
        Scheme::P256 => Authority::certifying(secret, layout.orgs.iter().map(ToString::to_string)),
    }
}

/// When a run begins.
const BEGINNING: Instant = Instant::from_nanos(1_000_000_000);
