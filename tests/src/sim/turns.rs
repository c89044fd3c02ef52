//! A host's turn: its node is given something, and what the node then wants is carried out.

use bytes::Bytes;
use gossip_core::{
    Action, Event, Node, Notice,
    record::{Digest, Writer},
};

use super::{
    check::{ACTIONS_ALLOWED, Facts, Seen, facts},
    host::Input,
    known::Known,
    trace::What,
    world::World,
};

impl World {
    /// Lets something reach a host, or wait while it stands still.
    pub(super) fn take(&mut self, host: usize, input: Input) {
        let state = &mut self.hosts[host];
        if state.node.is_none() {
            return;
        }
        if state.is_paused {
            return state.backlog.push_back(input);
        }
        match input {
            Input::Tick => self.tick(host),
            Input::Event(event) => self.handle(host, *event),
            Input::Written(conn) => self.on_written(host, conn),
            Input::Arrived { conn, parcel, is_copy } => {
                self.on_arrived(host, conn, parcel, is_copy)
            }
            Input::Job { job, fate } => self.on_job(host, *job, fate),
            Input::Answer(command) => self.give_answer(host, &command),
        }
    }

    /// Gives an event to a node.
    pub(super) fn handle(&mut self, host: usize, event: Event) {
        self.tell_now(host, event);
        self.drain(host);
    }

    /// Gives an event to a node, whose actions wait.
    pub(super) fn tell_now(&mut self, host: usize, event: Event) {
        let now = self.now;
        if let Some(node) = &mut self.hosts[host].node {
            self.recorder.write(host, |writer, log| writer.event(now, &event, log));
            node.handle(now, event);
        }
    }

    fn tick(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        // Another tick was planned since, or this one was given.
        if state.tick_at != Some(self.now) {
            return;
        }
        state.tick_at = None;
        let Some(node) = &mut state.node else { return };
        if node.poll_timeout().is_some_and(|at| at <= self.now) {
            let now = self.now;
            self.recorder.write(host, |writer, log| writer.event(now, &Event::Tick, log));
            node.handle(now, Event::Tick);
            let next = node.poll_timeout();
            self.observe(host, &Seen::Ticked { next });
        }
        self.drain(host);
    }

    /// Carries out what a node wants, tells it what could be written at once, and plans its next
    /// tick.
    pub(super) fn drain(&mut self, host: usize) {
        self.perform_all(host);
        let mut turns = 0;
        while !self.written.is_empty() {
            let written = std::mem::take(&mut self.written);
            written.iter().for_each(|conn| self.return_credit(host, *conn));
            turns += 1;
            if turns == TURNS_MAX {
                let what = format!("wrote {turns} times and has still more to write");
                self.object("bounded work and memory", vec![host], what);
                return;
            }
            // Nothing was written since: the buffer is used again.
            self.written = written;
            self.written.clear();
            self.perform_all(host);
        }
        self.plan_tick(host);
    }

    /// Carries out what a node wants.
    pub(super) fn perform_all(&mut self, host: usize) {
        let mut actions = 0;
        while let Some(action) = self.hosts[host].node.as_mut().and_then(Node::poll_action) {
            if actions == 0 {
                self.digest.word(self.now.as_nanos());
                self.digest.word(host as u64);
            }
            actions += 1;
            let hashes = &mut self.hashes;
            self.digest.action_told(&action, |bytes| hash_of(bytes, hashes));
            self.recorder.write(host, |writer, _| {
                writer.action(&action);
                Ok(())
            });
            self.perform(host, action);
        }
        self.recorder.write(host, Writer::actions);
        if actions > ACTIONS_ALLOWED {
            self.observe(host, &Seen::Batch { actions });
        }
    }

    /// Plans the next tick of a node, unless one is planned that is not later.
    pub(super) fn plan_tick(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        let next = state.node.as_ref().and_then(Node::poll_timeout);
        let Some(next) = next.map(|at| at.max(self.now)) else { return };
        if state.tick_at.is_none_or(|planned| next < planned) {
            state.tick_at = Some(next);
            self.plan_input(next, host, Input::Tick);
        }
    }

    fn perform(&mut self, host: usize, action: Action) {
        if self.trace.is_kept() {
            let remote = match &action {
                Action::Send { conn, .. } => self.net.end(*conn).map(|end| end.remote),
                _ => None,
            };
            self.trace.note(self.now, host, What::of(&action, remote));
        }
        match action {
            Action::Dial { dial, endpoint, purpose } => self.dial(host, dial, &endpoint, purpose),
            Action::Send { conn, frame } => self.send(host, conn, frame),
            Action::Close { conn, .. } => self.close(host, conn),
            Action::Job(job) => self.begin(host, job),
            Action::Notify(notice) => self.listen(host, &notice),
        }
    }

    fn listen(&mut self, host: usize, notice: &Notice) {
        self.observe(host, &Seen::Noticed(notice));
        if let Some(heard) = &mut self.heard {
            heard.push((host, notice.clone()));
        }
        match notice {
            Notice::MemberAlive { pki_id, .. } => self.metrics.came_alive(host, *pki_id),
            Notice::MemberDead { pki_id } | Notice::MemberForgotten { pki_id } => {
                self.metrics.died(host, pki_id);
            }
            Notice::Message { conn, nonce, message, .. } => {
                self.answer(host, *conn, *nonce, message);
            }
            _ => {}
        }
        if self.metrics.full_membership.is_none() && self.metrics.is_membership_full() {
            self.metrics.full_membership = Some(self.elapsed());
        }
    }

    /// Looks into a node from outside, as an operator would.
    pub(super) fn look_into(&mut self, host: usize) {
        let state = &self.hosts[host];
        let is_shown = state.is_running() && !state.is_byzantine && self.violation.is_none();
        let Some(node) = state.node.as_ref().filter(|_| is_shown) else { return };
        let wall = state.wall(self.now);
        let members: &Vec<_> = &node.member_views().collect();
        let expiring = self.expiring.iter().map(|(pki_id, _)| *pki_id);
        let expiring: &Vec<_> = &expiring.filter(|of| node.identity(of).is_some()).collect();
        let (connections, tables) = (node.stats().connections, &node.tables());
        let seen = Seen::View { wall, members, expiring, connections, tables };
        self.violation = self.checkers.see(host, &seen, &facts!(self)).err();
    }
}

fn hash_of(bytes: &Bytes, hashes: &mut Known<u64>) -> u64 {
    let hash = || {
        let mut digest = Digest::default();
        digest.bytes(bytes);
        digest.value()
    };
    // Few bytes are hashed faster than found.
    if bytes.len() <= SHORT { hash() } else { *hashes.of(bytes, hash) }
}

const SHORT: usize = 48;
/// How often a node may write at once, each time because it wrote before.
const TURNS_MAX: u32 = 100_000;
