//! Faults: when each strikes, whom, and for how long.
//!
//! The plan is drawn alone, whatever the world does and whichever classes are switched on: a class
//! that is off strikes nobody, and all others strike as before.

use std::{collections::BTreeMap, time::Duration};

use gossip_core::{Command, ConnId, Event, UnixTime};

use super::{
    check::Seen,
    draws::scale,
    host::{Input, START},
    options::FaultClass,
    world::World,
};

/// Something that happens to the world.
#[derive(Debug)]
pub(super) enum Control {
    /// An application does something.
    Act,
    /// The orderers make a block.
    Block,
    /// A driver reads its wall clock.
    ReadClock {
        /// Whose.
        host: usize,
    },
    /// A host joins a channel again.
    Rejoin {
        /// Which.
        host: usize,
        /// The channel.
        channel: usize,
    },
    /// A view is compared with the truth.
    Look {
        /// Whose.
        host: usize,
    },
    /// A host starts.
    Start {
        /// Which.
        host: usize,
    },
    /// A host starts again with another certificate, if its present one expires or was revoked.
    Renew {
        /// Which.
        host: usize,
    },
    /// The next fault strikes.
    Strike,
    /// A hostile peer sends what it likes.
    Flood {
        /// Which.
        host: usize,
    },
    /// A host goes on.
    Resume {
        /// Which.
        host: usize,
    },
    /// Identities are to be validated anew.
    Suspect {
        /// By whom.
        host: usize,
    },
    /// A connection goes on.
    Unstall {
        /// The end whose pipe stood still.
        conn: ConnId,
    },
    /// A partition ends.
    Unblock {
        /// From whom nothing got to whom.
        pairs: Vec<(usize, usize)>,
    },
    /// A connection breaks if nothing gets through it.
    Break {
        /// One of its ends.
        conn: ConnId,
    },
    /// The time of a handshake's stream is over.
    Deadline {
        /// One of its ends.
        conn: ConnId,
    },
}

/// How often each class of faults struck.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fired(BTreeMap<FaultClass, u64>);

impl Fired {
    /// Counts one.
    pub fn strike(&mut self, class: FaultClass) {
        *self.0.entry(class).or_default() += 1;
    }

    /// Returns how often a class struck.
    #[must_use]
    pub fn count(&self, class: FaultClass) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// Iterates over the classes that struck.
    pub fn iter(&self) -> impl Iterator<Item = (FaultClass, u64)> + '_ {
        self.0.iter().map(|(class, count)| (*class, *count))
    }
}

/// A fault as it was drawn: what it means depends on its class.
#[derive(Clone, Copy, Debug)]
struct Stroke {
    class: FaultClass,
    host: usize,
    other: u64,
    bits: u64,
}

impl Stroke {
    fn coin(&self) -> bool {
        self.bits & 1 == 1
    }

    /// Says yes once in four.
    fn seldom(&self) -> bool {
        self.bits & 6 == 0
    }

    fn lasts(&self, low: u64, high: u64) -> Duration {
        let (low, high) = (low * 1000, high * 1000);
        Duration::from_millis(low + scale(self.bits.rotate_left(17), high - low))
    }
}

impl World {
    /// Plans what goes on by itself.
    pub(super) fn plan_controls(&mut self) {
        for host in 0..self.hosts.len() {
            let phase = Duration::from_secs(1).mul_f64(host as f64 / self.hosts.len() as f64);
            self.plan_control(LOOK_INTERVAL + phase, Control::Look { host });
            if self.hosts[host].is_byzantine {
                self.plan_control(FLOOD_INTERVAL + phase, Control::Flood { host });
            }
            if self.has(FaultClass::Clock) {
                self.plan_control(CLOCK_INTERVAL + phase, Control::ReadClock { host });
            }
        }
        // Blocks that came while membership is learnt would not be told of: nothing is, later.
        if !self.options.is_static {
            self.plan_control(Duration::from_secs(5), Control::Block);
        }
        self.plan_control(Duration::from_secs(8), Control::Strike);
        if self.options.applications_act() {
            self.plan_control(Duration::from_secs(8), Control::Act);
        }
    }

    /// Says whether a host is hostile: one in five, but for one of the first two of each
    /// organisation. Who starts knows these, and nobody could ever find a network of which none
    /// that it knows is honest.
    pub(super) fn is_byzantine_place(&mut self, ix: usize) -> bool {
        let draws = &mut self.draws.hosts;
        let (drawn, is_first_drawn) = (draws.chance(200), draws.chance(150));
        let (orgs, peers) = (self.layout.orgs.len(), self.options.peers);
        // One there is for certain, if there is room.
        let drawn = drawn || ix + 1 == peers;
        let is_drawn = match ix / orgs {
            0 => is_first_drawn && ix + orgs < peers,
            1 => drawn && !self.hosts[ix - orgs].is_byzantine,
            _ => drawn,
        };
        self.has(FaultClass::Byzantine) && is_drawn
    }

    /// Draws how far off a wall clock is, in nanoseconds, and by how much more each millisecond.
    pub(super) fn draw_clock(&mut self) -> (i64, i64) {
        let draws = &mut self.draws.hosts;
        let (is_off, offset) = (draws.chance(300), draws.below(2 * HOUR as u64) as i64 - HOUR);
        let drift = draws.below(2 * DRIFT_MAX as u64) as i64 - DRIFT_MAX;
        match self.has(FaultClass::Clock) {
            true => (if is_off { offset } else { 0 }, drift),
            false => (0, 0),
        }
    }

    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Act => self.act(),
            Control::Block => self.order_block(),
            Control::ReadClock { host } => self.read_clock(host),
            Control::Rejoin { host, channel } => self.rejoin(host, channel),
            Control::Look { host } => {
                self.look_into(host);
                self.plan_control(LOOK_INTERVAL, Control::Look { host });
            }
            Control::Start { host } => self.start(host),
            Control::Renew { host } => self.renew(host),
            Control::Strike => self.strike(),
            Control::Flood { host } => self.flood(host),
            Control::Resume { host } => self.resume(host),
            Control::Suspect { host } => self.suspect(host),
            Control::Unstall { conn } => self.unstall(conn),
            Control::Unblock { pairs } => self.unblock(&pairs),
            Control::Break { conn } => self.break_if_dead(conn),
            Control::Deadline { conn } => self.cut(conn),
        }
    }

    /// Lets the next fault strike and plans the one after it.
    fn strike(&mut self) {
        let hosts = self.hosts.len();
        let draws = &mut self.draws.plan;
        let pause = draws.between(Duration::from_secs(1), Duration::from_secs(7));
        let class = STRIKING[draws.index(STRIKING.len())];
        let host = draws.index(hosts);
        let stroke = Stroke { class, host, other: draws.bits(), bits: draws.bits() };
        if self.is_healed {
            return;
        }
        // Larger networks are struck as often per peer, up to a point.
        self.plan_control(pause * 16 / hosts.clamp(4, 64) as u32, Control::Strike);
        if self.has(class) && self.apply(stroke) {
            self.fired.strike(class);
        }
    }

    fn apply(&mut self, stroke: Stroke) -> bool {
        match stroke.class {
            FaultClass::Cut => self.strike_connection(stroke, |world, conn| world.cut(conn)),
            FaultClass::Stall => {
                let lasts = stroke.lasts(1, 30);
                self.strike_connection(stroke, |world, conn| world.stall(conn, lasts))
            }
            FaultClass::Partition => self.partition(stroke),
            FaultClass::Crash => self.strike_crash(stroke),
            FaultClass::Pause => self.pause(stroke.host, stroke.lasts(1, 40)),
            FaultClass::Clock => {
                let offset = scale(stroke.bits, 2 * HOUR as u64) as i64 - HOUR;
                self.step_clock(stroke.host, if stroke.seldom() { 0 } else { offset });
                true
            }
            FaultClass::Revoke if stroke.seldom() => self.strike_revoked(stroke),
            FaultClass::Leave => self.strike_leave(stroke),
            _ => false,
        }
    }

    fn strike_connection(
        &mut self,
        stroke: Stroke,
        strike: impl FnOnce(&mut Self, ConnId),
    ) -> bool {
        let conns = self.net.ends_where(|end| end.host == stroke.host);
        let Some(conn) = conns.get(scale(stroke.other, conns.len() as u64) as usize) else {
            return false;
        };
        strike(self, *conn);
        true
    }

    /// Lets nothing through into an end for a while.
    pub(super) fn stall(&mut self, conn: ConnId, lasts: Duration) {
        let Some(end) = self.net.end_mut(conn) else { return };
        end.pipe.is_stalled = true;
        let host = end.host;
        self.befall(host, format!("nothing comes in on {conn} for {lasts:?}"));
        self.plan_control(lasts, Control::Unstall { conn });
    }

    fn unstall(&mut self, conn: ConnId) {
        if let Some(end) = self.net.end_mut(conn) {
            end.pipe.is_stalled = false;
            self.release(conn);
        }
    }

    fn partition(&mut self, stroke: Stroke) -> bool {
        let orgs = self.layout.orgs.len();
        let side = |host: usize| match stroke.other % 3 {
            0 => host == stroke.host,
            1 if orgs > 1 => self.layout.org_of(host) == self.layout.org_of(stroke.host),
            _ => (stroke.other >> (2 + host % 60)) & 1 == 1,
        };
        let (inside, outside): (Vec<_>, Vec<_>) = (0..self.hosts.len()).partition(|ix| side(*ix));
        self.separate(&inside, &outside, stroke.seldom(), stroke.lasts(5, 120));
        !inside.is_empty() && !outside.is_empty()
    }

    /// Lets nothing get from some hosts to others for a while, nor back unless it is one-way.
    pub fn separate(
        &mut self,
        these: &[usize],
        those: &[usize],
        is_one_way: bool,
        lasts: Duration,
    ) {
        let mut pairs: Vec<_> =
            these.iter().flat_map(|one| those.iter().map(move |other| (*one, *other))).collect();
        if !is_one_way {
            pairs.extend(pairs.clone().into_iter().map(|(one, other)| (other, one)));
        }
        for (from, to) in &pairs {
            self.net.set_blocked(*from, *to, true);
        }
        for host in these {
            self.befall(*host, format!("is cut off from {} hosts for {lasts:?}", those.len()));
        }
        for conn in self.net.ends_where(|end| pairs.contains(&(end.remote, end.host))) {
            let notices = self.draws.hosts.between(Duration::from_secs(5), Duration::from_secs(30));
            self.plan_control(notices, Control::Break { conn });
        }
        self.plan_control(lasts, Control::Unblock { pairs });
    }

    fn unblock(&mut self, pairs: &[(usize, usize)]) {
        for (from, to) in pairs {
            self.net.set_blocked(*from, *to, false);
        }
        for conn in self.net.ends_where(|end| !end.pipe.held.is_empty()) {
            self.release(conn);
        }
    }

    /// The driver finds out that nobody is at the other end, or that nobody answers.
    fn break_if_dead(&mut self, conn: ConnId) {
        let Some(end) = self.net.end(conn) else { return };
        let is_alone = self.net.end(end.other).is_none_or(|other| other.other != conn);
        if is_alone || self.net.is_cut_off(end.host, end.remote) {
            self.cut(conn);
        }
    }

    fn strike_crash(&mut self, stroke: Stroke) -> bool {
        if self.hosts[stroke.host].node.is_none() {
            return false;
        }
        self.crash(stroke.host, stroke.coin());
        if stroke.seldom() {
            self.lose_ledger(stroke.host);
        }
        self.plan_control(stroke.lasts(1, 60), Control::Start { host: stroke.host });
        true
    }

    /// Ends a node without a word. Its peers hear of it at once, or only when they wait in vain.
    pub fn crash(&mut self, host: usize, is_heard: bool) {
        self.befall(host, if is_heard { "crashes" } else { "vanishes" });
        let state = &mut self.hosts[host];
        state.node = None;
        state.generation += 1;
        state.is_paused = false;
        state.backlog.clear();
        self.metrics.started(host);
        for conn in self.net.ends_where(|end| end.host == host) {
            let Some(end) = self.net.remove(conn) else { continue };
            if is_heard {
                self.cut(end.other);
            } else {
                let low = Duration::from_secs(5);
                let notices = self.draws.hosts.between(low, Duration::from_secs(20));
                self.plan_control(notices, Control::Break { conn: end.other });
            }
        }
    }

    /// Takes away what a host keeps: its ledger, and the incarnation of its last start.
    pub fn lose_ledger(&mut self, host: usize) {
        self.hosts[host].heights.fill(0);
        self.hosts[host].incarnation = UnixTime::default();
        self.befall(host, "loses its disk");
    }

    /// Starts a host that is down, at once.
    pub fn restart(&mut self, host: usize) {
        self.start(host);
    }

    fn resume(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        if !std::mem::take(&mut state.is_paused) {
            return;
        }
        let backlog = std::mem::take(&mut state.backlog);
        self.befall(host, "goes on");
        self.observe(host, &Seen::Resumed);
        // Ticks were missed: what was planned is over.
        self.hosts[host].tick_at = None;
        let wall = self.hosts[host].wall(self.now);
        self.handle(host, Event::WallClock(wall));
        for input in backlog.into_iter().filter(|input| !matches!(input, Input::Tick)) {
            self.take(host, input);
        }
        self.plan_tick(host);
    }

    /// Sets a host's wall clock to differ from the truth by `offset` nanoseconds.
    pub fn step_clock(&mut self, host: usize, offset: i64) {
        self.hosts[host].clock_offset = offset;
        let wall = self.hosts[host].wall(self.now);
        self.befall(host, format!("has its clock set {} s off", offset / 1_000_000_000));
        // Who stands still hears of it when it goes on.
        if self.hosts[host].is_paused {
            return;
        }
        self.handle(host, Event::WallClock(wall));
    }

    fn read_clock(&mut self, host: usize) {
        self.plan_control(CLOCK_INTERVAL, Control::ReadClock { host });
        if self.hosts[host].is_running() {
            let wall = self.hosts[host].wall(self.now);
            self.handle(host, Event::WallClock(wall));
        }
    }

    fn strike_leave(&mut self, stroke: Stroke) -> bool {
        let host = stroke.host;
        let channels: Vec<_> = self.layout.channels_of(host).collect();
        let Some(channel) = channels.get(scale(stroke.other, channels.len() as u64) as usize)
        else {
            return false;
        };
        let back = Control::Rejoin { host, channel: *channel };
        self.plan_control(stroke.lasts(1, 90), back);
        self.leave(host, *channel)
    }

    fn strike_revoked(&mut self, stroke: Stroke) -> bool {
        let host = stroke.host;
        self.revoke(host);
        self.plan_control(stroke.lasts(5, 60), Control::Renew { host });
        true
    }

    /// Revokes a host's certificate, and lets all validate anew what they know.
    pub fn revoke(&mut self, host: usize) {
        let pki_id = self.pki_id(host);
        self.authority.revoke(pki_id);
        self.befall(host, "has its certificate revoked");
        for host in 0..self.hosts.len() {
            let after = self.draws.hosts.between(Duration::ZERO, Duration::from_secs(3));
            self.plan_control(after, Control::Suspect { host });
        }
    }

    fn suspect(&mut self, host: usize) {
        if self.hosts[host].is_running() {
            self.command(host, Command::SuspectPeers);
        }
    }

    /// Starts a host again with a certificate that does not expire, unless it has one that holds.
    pub(super) fn renew(&mut self, host: usize) {
        let pki_id = self.pki_id(host);
        let expires = self.issued.get(&pki_id).is_some_and(|issued| issued.expires_at.is_some());
        if expires || self.authority.is_revoked(&pki_id) {
            self.certify(host, None);
        }
    }

    /// Starts a host again with another certificate, which expires after some time or never.
    pub fn certify(&mut self, host: usize, expires_after: Option<Duration>) {
        self.crash(host, true);
        let expires_at = expires_after.map(|after| START + self.since_start() + after);
        let state = &mut self.hosts[host];
        state.serial += 1;
        let (serial, is_byzantine) = (state.serial, state.is_byzantine);
        self.hosts[host].credentials = self.issue(host, serial, expires_at, is_byzantine);
        self.befall(host, "has a new certificate");
        self.start(host);
    }

    /// Lets nothing come in at a host for a while, on the connections that it has.
    pub fn stall_all(&mut self, host: usize, lasts: Duration) {
        for conn in self.net.ends_where(|end| end.host == host) {
            self.stall(conn, lasts);
        }
    }

    /// Ends all faults: everything runs, nothing is in the way, and clocks are right.
    pub fn heal(&mut self) {
        self.is_healed = true;
        let at = self.elapsed();
        if let Some(samples) = &mut self.samples {
            samples.healed(at);
        }
        self.net.unblock_all();
        for conn in self.net.ends_where(|end| end.pipe.is_stalled || !end.pipe.held.is_empty()) {
            self.unstall(conn);
        }
        for host in 0..self.hosts.len() {
            self.befall(host, "is healed, as all are");
            self.resume(host);
            self.hosts[host].loses_jobs = false;
            let drift = std::mem::take(&mut self.hosts[host].clock_drift);
            if drift != 0 || self.hosts[host].clock_offset != 0 {
                self.step_clock(host, 0);
            }
            self.renew(host);
            self.switch_on(host);
            self.layout.channels_of(host).for_each(|channel| self.rejoin(host, channel));
        }
        for host in 0..self.hosts.len() {
            self.suspect(host);
        }
        self.deliver_all();
    }
}

/// The classes that strike now and then; the others go on all the time.
const STRIKING: &[FaultClass] = &[
    FaultClass::Cut,
    FaultClass::Stall,
    FaultClass::Partition,
    FaultClass::Crash,
    FaultClass::Pause,
    FaultClass::Clock,
    FaultClass::Revoke,
    FaultClass::Leave,
];

const HOUR: i64 = 3_600_000_000_000;
/// One part in a hundred, in nanoseconds per millisecond.
const DRIFT_MAX: i64 = 10_000;
/// How often a driver tells its node what the wall clock says.
const CLOCK_INTERVAL: Duration = Duration::from_secs(20);

/// How often each view is compared with the truth.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a hostile peer sends what it likes.
pub(super) const FLOOD_INTERVAL: Duration = Duration::from_secs(2);
