//! A node does a bounded amount of work, and holds a bounded number of things.

use std::time::Duration;

use gossip_core::{Instant, Limits};

use super::{Check, Facts, Seen};

/// Actions per event are bounded; no tick is due again at once; ticks are bounded per second; every
/// table is within its limit.
#[derive(Debug)]
pub(super) struct Load {
    hosts: usize,
    by_host: Vec<Host>,
}

#[derive(Clone, Debug, Default)]
struct Host {
    limits: Option<Limits>,
    second: u64,
    ticks: u32,
}

impl Load {
    pub(super) fn new(hosts: usize) -> Self {
        Self { hosts, by_host: vec![Host::default(); hosts] }
    }
}

impl Check for Load {
    fn name(&self) -> &'static str {
        "bounded work and memory"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        let actions_max = ACTIONS_ALLOWED + ACTIONS_PER_HOST_MAX * self.hosts;
        let state = &mut self.by_host[host];
        match *seen {
            Seen::Started { limits, .. } => {
                state.limits = Some(limits.clone());
                Ok(())
            }
            Seen::Batch { actions } => at_most("actions after one event", actions, actions_max),
            Seen::Ticked { next } => state.ticked(next, facts.now),
            Seen::Sent { unwritten, .. } => {
                let max = state.limits.as_ref().map_or(usize::MAX, |max| max.frames_in_flight_max);
                at_most("frames given to the driver", unwritten as usize, max)
            }
            Seen::View { members, connections, tables, .. } => {
                let Some(max) = &state.limits else { return Ok(()) };
                at_most("members", members.len(), max.members_max)?;
                at_most("connections", connections as usize, max.connections_max)?;
                tables.iter().try_for_each(|table| at_most(table.name, table.size, table.max))
            }
            _ => Ok(()),
        }
    }
}

impl Host {
    fn ticked(&mut self, next: Option<Instant>, now: Instant) -> Result<(), String> {
        if let Some(next) = next.filter(|next| *next <= now) {
            return Err(format!("after a tick at {now} the next is due at {next}"));
        }
        let second = (now - Instant::ZERO).as_secs();
        self.ticks = if second == self.second { self.ticks + 1 } else { 1 };
        self.second = second;
        at_most("ticks in one second", self.ticks as usize, TICKS_PER_SECOND_MAX)
    }
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), String> {
    match count <= max {
        true => Ok(()),
        false => Err(format!("{count} {what}, where at most {max} may be")),
    }
}

/// What any event may set off, in the smallest network too: batches, jobs and notices of one large
/// message.
pub(crate) const ACTIONS_ALLOWED: usize = 400;
/// What it may set off for each peer.
const ACTIONS_PER_HOST_MAX: usize = 40;
/// A node that waits for nothing shorter than 1 ms.
const TICKS_PER_SECOND_MAX: usize =
    2 * (Duration::from_secs(1).as_millis() / Duration::from_millis(1).as_millis()) as usize;
