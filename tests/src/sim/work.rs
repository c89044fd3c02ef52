//! What becomes of jobs: done after a while, sometimes late, failed or lost.

use std::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use gossip_core::{ChannelId, Event, Job, JobClass, JobKind, Outcome};

use super::{
    check::Seen,
    crypto::Backend,
    draws::scale,
    host::{Fate, Input},
    options::FaultClass,
    world::World,
};

impl World {
    /// Draws what becomes of a job and when.
    pub(super) fn begin(&mut self, host: usize, job: Job) {
        if let JobKind::Sign { payload } = job.kind() {
            self.observe(host, &Seen::Signed { payload });
        }
        let bits = self.draws.jobs.bits();
        let usual = Duration::from_micros(50 + scale(bits, 150));
        let is_struck = self.has(FaultClass::Jobs) && !self.is_healed;
        let (after, fate) = match bits & 0xff {
            _ if self.hosts[host].loses_jobs => (usual, Fate::Lost),
            _ if !is_struck => (usual, Fate::Done),
            0 => (usual, Fate::Lost),
            1 => (usual, Fate::Failed),
            2..=9 => (Duration::from_micros(scale(bits.rotate_left(21), 8_000_000)), Fate::Done),
            _ => (usual, Fate::Done),
        };
        if is_struck && (after > usual || fate != Fate::Done) {
            self.fired.strike(FaultClass::Jobs);
        }
        // One thread does what concerns the ledger, in order: no such job overtakes another.
        let mut at = self.now + after;
        if job.class() == JobClass::Ledger {
            at = at.max(self.hosts[host].ledger_at);
            self.hosts[host].ledger_at = at;
        }
        self.plan_input(at, host, Input::Job { job: Box::new(job), fate });
    }

    /// Does a job and answers it, unless its fate is another.
    pub(super) fn on_job(&mut self, host: usize, job: Job, fate: Fate) {
        if fate == Fate::Failed {
            let completion = job.complete(Outcome::Failed("the pool is full".into()));
            return self.handle(host, Event::JobDone(completion));
        }
        if let JobKind::Commit { channel, number, block } = job.kind() {
            let Some(ix) = self.layout.channel(channel) else { return };
            let (number, height) = (*number, self.hosts[host].heights[ix]);
            self.observe(host, &Seen::Committed { channel, number, height, block });
            if number == height {
                self.append(host, ix, number);
            }
        }
        if fate == Fate::Lost {
            return;
        }
        let backend = Backend {
            authority: &self.authority,
            key: &self.hosts[host].credentials.key,
            readers: &self.layout,
        };
        let completion = match job.kind() {
            JobKind::ReadBlocks { channel, first, last, bytes_max: _ } => {
                let blocks = self.read_blocks(host, channel, *first..=*last);
                job.complete(Outcome::Blocks(blocks))
            }
            _ => job.run(&backend, &backend),
        };
        self.handle(host, Event::JobDone(completion));
    }

    /// Reads blocks from a host's ledger, which holds what the orderers made up to its height.
    fn read_blocks(
        &self,
        host: usize,
        channel: &ChannelId,
        range: RangeInclusive<u64>,
    ) -> Vec<(u64, Bytes)> {
        let Some(ix) = self.layout.channel(channel) else { return Vec::new() };
        let height = self.hosts[host].heights[ix];
        let numbers = range.take_while(|number| *number < height);
        numbers.filter_map(|number| Some((number, self.orderer.block(ix, number)?))).collect()
    }
}
