//! What must come true once all faults are over, and by when.

use std::{collections::BTreeMap, time::Duration};

use gossip_core::{Config, PkiId};

use crate::sim::world::World;

/// Something that is not as it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unmet {
    /// Who does not know something.
    pub host: usize,
    /// About whom, itself if it lacks blocks.
    pub of: usize,
    /// What it is.
    pub what: String,
}

/// Lists what is not as it should be among the peers that run and are honest: whom does one not
/// hold alive, or hold alive though its certificate was revoked, which blocks does it lack, whose
/// height, chaincodes or metadata does it not know?
#[must_use]
pub fn unmet(world: &World) -> Vec<Unmet> {
    each_unmet(world).collect()
}

/// Says whether nothing is [`unmet`].
#[must_use]
pub fn is_well(world: &World) -> bool {
    each_unmet(world).next().is_none()
}

/// Looks at one peer after the other, as far as it is asked.
fn each_unmet(world: &World) -> impl Iterator<Item = Unmet> + '_ {
    let hosts = 0..world.layout().names.len();
    let honest = hosts.filter(|host| !world.is_byzantine(*host) && world.node(*host).is_some());
    let honest: Vec<_> = honest.collect();
    (0..honest.len()).flat_map(move |ix| {
        let host = honest[ix];
        let mut unmet = membership(world, host, &honest);
        let channels = world.layout().channels_of(host);
        for channel in channels.filter(|channel| world.is_member(host, *channel)) {
            unmet.extend(ledger(world, host, channel, &honest));
        }
        unmet
    })
}

/// Returns by when that must have come true after the end of all faults.
///
/// Whoever was taken for dead is tried again every `reconnect_interval`, an identity or a job that
/// was lost costs `job_timeout`, and all that is told is told anew within a few intervals.
#[must_use]
pub fn bound(config: &Config) -> Duration {
    let known = config.alive_expiration_timeout
        + config.reconnect_interval * 3
        + config.job_timeout
        + config.alive_time_interval * 4;
    known + config.pull_interval * 4 + config.request_state_info_interval * 4
}

fn membership(world: &World, host: usize, honest: &[usize]) -> Vec<Unmet> {
    let Some(node) = world.node(host) else { return Vec::new() };
    let names = &world.layout().names;
    let members = node.members();
    let alive: Vec<PkiId> = members.iter().map(|member| member.pki_id).collect();
    let revoked = alive.iter().filter(|pki_id| world.is_revoked(pki_id)).map(|pki_id| {
        let of = world.owner(pki_id).unwrap_or(host);
        let what = format!("{} holds a revoked identity of {} alive", names[host], names[of]);
        Unmet { host, of, what }
    });
    let is_met = |of: usize| alive.binary_search(&world.pki_id(of)).is_ok();
    let lacks = |of: &&usize| **of != host && world.layout().may_meet(host, **of) && !is_met(**of);
    let unmet = |of: &usize| {
        let what = format!("{} does not hold {} alive", names[host], names[*of]);
        Unmet { host, of: *of, what }
    };
    let is_old = |of: &&usize| {
        let known = alive.binary_search(&world.pki_id(**of));
        known.is_ok_and(|ix| members[ix].metadata != *world.metadata(**of))
    };
    let old = |of: &usize| {
        let what = format!("{} does not know the metadata of {}", names[host], names[*of]);
        Unmet { host, of: *of, what }
    };
    let lacking = honest.iter().filter(lacks).map(unmet);
    lacking.chain(honest.iter().filter(is_old).map(old)).chain(revoked).collect()
}

fn ledger(world: &World, host: usize, channel: usize, honest: &[usize]) -> Vec<Unmet> {
    let layout = world.layout();
    let (name, id) = (&layout.names[host], &layout.channels[channel].id);
    let Some(node) = world.node(host) else { return Vec::new() };
    let mut unmet = Vec::new();
    let mut note = |of, what| unmet.push(Unmet { host, of, what });
    let (height, all) = world.heights(host, channel);
    if height < all {
        note(host, format!("{name} has {height} of {all} blocks of {id}"));
    }
    let told = node.channel_peers(id).unwrap_or_default();
    let told: BTreeMap<PkiId, _> =
        told.into_iter().map(|peer| (peer.member.pki_id, peer)).collect();
    // On a static membership nobody is told of a height after the start.
    let is_told = |of: &&usize| **of != host && layout.may_meet(host, **of);
    let others = honest.iter().filter(is_told).filter(|_| all == 0 || !world.options.is_static);
    for of in others.filter(|of| world.is_member(**of, channel)) {
        let other = &layout.names[*of];
        match told.get(&world.pki_id(*of)) {
            Some(told) if told.ledger_height != all => {
                let height = told.ledger_height;
                note(*of, format!("{name} takes {other} to have {height} blocks of {id}"));
            }
            Some(told) if told.chaincodes != world.chaincodes(*of, channel) => {
                note(*of, format!("{name} does not know the chaincodes of {other} in {id}"));
            }
            Some(_) => {}
            None => note(*of, format!("{name} does not know {other} in {id}")),
        }
    }
    unmet
}
