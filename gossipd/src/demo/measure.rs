//! What a run has cost and how long blocks took.

use std::{
    fs,
    time::{Duration, Instant},
};

use gossip_core::Fault;
use gossip_tokio::{PeerStats, Stopped};
use rustix::time::{ClockId, clock_gettime};

use super::{peers::Peer, publish::Published};

/// Counters of all peers together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) block_copies: u64,
    pub(crate) verifies: u64,
    pub(crate) unique_messages: u64,
    pub(crate) messages_sent: u64,
    pub(crate) messages_received: u64,
    /// Bytes written to sockets; what one peer writes another reads.
    pub(crate) wire_bytes: u64,
    /// Connections, each counted where it was dialled.
    pub(crate) connections: u64,
}

impl Totals {
    /// Asks all peers.
    ///
    /// # Errors
    ///
    /// If a node has stopped.
    pub(crate) async fn of(peers: &[Peer]) -> Result<Self, Stopped> {
        let mut totals = Self::default();
        for peer in peers {
            totals.add(&peer.handle.stats().await?);
        }
        Ok(totals)
    }

    fn add(&mut self, stats: &PeerStats) {
        let PeerStats { node, transport, .. } = stats;
        self.block_copies += node.block_copies;
        self.verifies += node.verifies;
        self.unique_messages += node.unique_messages;
        self.messages_sent += node.messages_sent;
        self.messages_received += node.messages_received;
        self.wire_bytes += transport.wire_bytes_out;
        self.connections += transport.dialled;
    }
}

/// Returns how often all peers together have seen which fault, without those that nobody saw.
///
/// # Errors
///
/// If a node has stopped.
pub(crate) async fn faults(peers: &[Peer]) -> Result<Vec<(Fault, u64)>, Stopped> {
    let mut counts: Vec<_> = Fault::ALL.iter().map(|&fault| (fault, 0)).collect();
    for peer in peers {
        let stats = peer.handle.stats().await?.node;
        counts.iter_mut().for_each(|(fault, count)| *count += stats.faults(*fault));
    }
    counts.retain(|(_, count)| *count > 0);
    Ok(counts)
}

/// How long blocks took to the applications of peers that are no sources.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Deliveries {
    /// How many there were, each of one block to one peer.
    pub(crate) count: u64,
    /// How many there should have been in addition.
    pub(crate) missing: u64,
    /// The time of each, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// The time to the slowest peer of each block that all peers have, ascending.
    pub(crate) last_peer: Vec<Duration>,
}

impl Deliveries {
    /// Compares when peers committed blocks with when their organisations' sources were given them.
    pub(crate) fn of(peers: &[Peer], published: &Published) -> Self {
        let receivers = peers.iter().filter(|peer| !peer.is_source);
        let commits = receivers.map(|peer| (peer.org, peer.ledger.commits()));
        Self::compare(&commits.collect::<Vec<_>>(), &published.times)
    }

    fn compare(commits: &[(usize, Vec<Instant>)], published: &[Vec<Instant>]) -> Self {
        let count = published.first().map_or(0, Vec::len);
        let mut deliveries = Self::default();
        for block in 0..count {
            let took = |(org, commits): &(usize, Vec<Instant>)| {
                let (commit, publication) = (commits.get(block)?, published[*org].get(block)?);
                Some(commit.saturating_duration_since(*publication))
            };
            let all: Vec<_> = commits.iter().filter_map(took).collect();
            if all.len() == commits.len() {
                deliveries.last_peer.extend(all.iter().max());
            }
            deliveries.latencies.extend(all);
        }
        deliveries.count = deliveries.latencies.len() as u64;
        deliveries.missing = (count * commits.len()) as u64 - deliveries.count;
        deliveries.latencies.sort_unstable();
        deliveries.last_peer.sort_unstable();
        deliveries
    }
}

/// Returns the smallest value that `percent` of the values do not exceed; `None` without values.
///
/// The values must be in ascending order.
pub(crate) fn percentile(ascending: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied()
}

/// Returns the processor time that this process has used, in its own code and in the system's.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the memory that this process occupies, in MiB; `None` where Linux is not.
pub(crate) fn rss_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let percentile_ms = |percent| percentile(&values, percent).map(|value| value.as_millis());
        assert_eq!(
            [0, 1, 50, 90, 99, 100].map(percentile_ms),
            [Some(1), Some(2), Some(100), Some(180), Some(198), Some(200)]
        );
        assert_eq!(percentile(&values[..1], 50), Some(values[0]));
        assert_eq!(percentile(&values[..3], 99), Some(values[2]));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn latency_runs_from_the_own_source_and_a_block_that_somebody_lacks_has_no_last_peer() {
        let zero = Instant::now();
        let at = |millis: &[u64]| -> Vec<_> {
            millis.iter().map(|&millis| zero + Duration::from_millis(millis)).collect()
        };
        let published = [at(&[0, 10]), at(&[2, 12])];
        let commits = [(0, at(&[5, 11])), (0, at(&[3])), (1, at(&[4, 20]))];
        let deliveries = Deliveries::compare(&commits, &published);
        assert_eq!((deliveries.count, deliveries.missing), (5, 1));
        let millis = |all: &[Duration]| all.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!(millis(&deliveries.latencies), [1, 2, 3, 5, 8]);
        assert_eq!(millis(&deliveries.last_peer), [5]);
    }

    #[test]
    fn this_process_has_used_memory_and_time() {
        assert!(cpu_time() > Duration::ZERO);
        if cfg!(target_os = "linux") {
            assert!(rss_mib() > Some(0.5));
        }
    }
}
