//! What a demonstration says in the end.

use std::{fmt, time::Duration};

use gossip_core::Fault;
use serde::Serialize;

use super::{
    args::Args,
    measure::{Deliveries, Totals, percentile},
    membership::Unknown,
    peers::Peer,
    publish::Published,
};

/// The figures of one run, as `--json` prints them. What was not measured is `null`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    #[serde(skip)]
    seed: u64,
    peers: usize,
    orgs: usize,
    transport: &'static str,
    membership_ms: f64,
    blocks: u64,
    block_bytes: u64,
    delivered: u64,
    missing: u64,
    latency_ms: Latency,
    last_peer_ms: LastPeer,
    copies_per_peer: Option<f64>,
    verifies: u64,
    verifies_per_unique_message: Option<f64>,
    messages_sent: u64,
    messages_received: u64,
    wire_bytes: u64,
    connections_opened: u64,
    cpu_seconds: f64,
    rss_mib: Option<f64>,
    idle: Option<Idle>,
}

#[derive(Clone, Debug, Serialize)]
struct Latency {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct LastPeer {
    p50: Option<f64>,
    p99: Option<f64>,
}

/// What a peer costs at rest, in a second.
#[derive(Clone, Debug, Serialize)]
struct Idle {
    cpu_ms_per_s_per_peer: f64,
    verifies_per_s_per_peer: f64,
    wire_bytes_per_s_per_peer: f64,
}

/// What was measured from the first start to the last delivery.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// From the first start until every peer knew every other.
    pub(crate) membership: Duration,
    pub(crate) deliveries: Deliveries,
    /// From the first start until shortly after the last delivery.
    pub(crate) totals: Totals,
    /// From complete membership to the last delivery.
    pub(crate) cpu: Duration,
    pub(crate) rss_mib: Option<f64>,
    pub(crate) rest: Option<Rest>,
}

/// What was measured at rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) time: Duration,
    pub(crate) cpu: Duration,
    pub(crate) before: Totals,
    pub(crate) after: Totals,
}

impl Report {
    /// Sums up.
    pub(crate) fn new(args: &Args, seed: u64, published: &Published, measured: &Measured) -> Self {
        let Measured { membership, deliveries, totals, cpu, rss_mib, rest } = measured;
        let latency = |percent| percentile(&deliveries.latencies, percent).map(millis);
        let last_peer = |percent| percentile(&deliveries.last_peer, percent).map(millis);
        let blocks = published.count();
        Self {
            seed,
            peers: args.peers(),
            orgs: args.orgs,
            transport: "grpc-tls",
            membership_ms: millis(*membership),
            blocks,
            block_bytes: published.bytes.checked_div(blocks).unwrap_or_default(),
            delivered: deliveries.count,
            missing: deliveries.missing,
            latency_ms: Latency {
                p50: latency(50),
                p90: latency(90),
                p99: latency(99),
                max: latency(100),
            },
            last_peer_ms: LastPeer { p50: last_peer(50), p99: last_peer(99) },
            copies_per_peer: ratio(totals.block_copies, deliveries.count),
            verifies: totals.verifies,
            verifies_per_unique_message: ratio(totals.verifies, totals.unique_messages),
            messages_sent: totals.messages_sent,
            messages_received: totals.messages_received,
            wire_bytes: totals.wire_bytes,
            connections_opened: totals.connections,
            cpu_seconds: rounded(cpu.as_secs_f64()),
            rss_mib: rss_mib.map(rounded),
            idle: rest.as_ref().map(|rest| Idle::new(rest, args.peers())),
        }
    }
}

impl Idle {
    fn new(rest: &Rest, peers: usize) -> Self {
        let peer_seconds = rest.time.as_secs_f64() * peers as f64;
        let per_peer =
            |before: u64, after: u64| rounded(after.saturating_sub(before) as f64 / peer_seconds);
        Self {
            cpu_ms_per_s_per_peer: rounded(1000.0 * rest.cpu.as_secs_f64() / peer_seconds),
            verifies_per_s_per_peer: per_peer(rest.before.verifies, rest.after.verifies),
            wire_bytes_per_s_per_peer: per_peer(rest.before.wire_bytes, rest.after.wire_bytes),
        }
    }
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String| writeln!(f, "{name:<30}{value}");
        let time = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        let per_peer = |value: f64| value / self.peers as f64;
        row("peers", format!("{} of {} organisations", self.peers, self.orgs))?;
        row("transport", self.transport.to_owned())?;
        row("seed", self.seed.to_string())?;
        row("membership complete after", time(Some(self.membership_ms)))?;
        row("blocks", format!("{} of {}", self.blocks, bytes(self.block_bytes)))?;
        row("deliveries", format!("{}, {} missing", self.delivered, self.missing))?;
        let Latency { p50, p90, p99, max } = self.latency_ms;
        let quantiles = [("p50", p50), ("p90", p90), ("p99", p99), ("max", max)];
        let shown = quantiles.map(|(name, value)| format!("{name} {}", time(value)));
        row("latency to each peer", shown.join("   "))?;
        let LastPeer { p50, p99 } = self.last_peer_ms;
        row("latency to the last peer", format!("p50 {}   p99 {}", time(p50), time(p99)))?;
        row("block copies per delivery", decimal(self.copies_per_peer))?;
        let per_message = decimal(self.verifies_per_unique_message);
        row("signature checks", format!("{}, {per_message} per message", self.verifies))?;
        let (sent, received) = (self.messages_sent, self.messages_received);
        row("messages", format!("{sent} sent, {received} received"))?;
        row("on the wire", bytes(self.wire_bytes))?;
        row("connections opened", self.connections_opened.to_string())?;
        let per_delivery = 1000.0 * self.cpu_seconds / self.delivered as f64;
        let per_delivery = decimal((self.delivered > 0).then_some(per_delivery));
        row("CPU", format!("{:.2} s, {per_delivery} ms per delivery", self.cpu_seconds))?;
        if let Some(rss) = self.rss_mib {
            row("memory", format!("{rss:.1} MiB, {:.1} MiB per peer", per_peer(rss)))?;
        }
        let Some(idle) = &self.idle else { return Ok(()) };
        row(
            "at rest, a peer and second",
            format!(
                "{:.2} ms CPU, {:.2} signature checks, {:.0} B on the wire",
                idle.cpu_ms_per_s_per_peer,
                idle.verifies_per_s_per_peer,
                idle.wire_bytes_per_s_per_peer
            ),
        )
    }
}

/// Says which blocks which peers lack, a line a peer.
pub(crate) fn lacking_blocks(peers: &[Peer], last: u64) -> String {
    let lacking = peers.iter().filter_map(|peer| {
        let height = peer.ledger.height();
        let missing = (last + 1).checked_sub(height).filter(|missing| *missing > 0)?;
        Some(format!("{:<16}lacks {missing} blocks: {height} to {last}\n", peer.name))
    });
    lacking.collect()
}

/// Says what peers saw that may have to do with it.
pub(crate) fn seen_faults(faults: &[(Fault, u64)]) -> String {
    let faults: Vec<_> = faults.iter().map(|(fault, count)| format!("{fault}: {count}")).collect();
    match faults.as_slice() {
        [] => "no peer saw a fault\n".to_owned(),
        faults => format!("faults that peers saw: {}\n", faults.join(", ")),
    }
}

/// Says which peers do not know which others, a line a peer.
pub(crate) fn lacking_peers(peers: &[Peer], unknown: &[Unknown]) -> String {
    let names = |indices: &[usize]| match indices {
        [] => "-".to_owned(),
        indices => {
            let names: Vec<_> = indices.iter().map(|&index| peers[index].name.as_str()).collect();
            names.join(" ")
        }
    };
    let lacking = peers.iter().zip(unknown).filter(|(_, unknown)| **unknown != Unknown::default());
    let line = |(peer, unknown): (&Peer, &Unknown)| {
        let (alive, channel) = (names(&unknown.alive), names(&unknown.channel));
        format!("{:<16}not alive: {alive}; not in the channel: {channel}\n", peer.name)
    };
    lacking.map(line).collect()
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..0x10_0000 => format!("{:.1} KiB", count as f64 / 1024.0),
        0x10_0000.. => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(part as f64 / whole as f64))
}

fn decimal(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1000.0)
}

/// Keeps three decimal places.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_json_has_exactly_the_documented_keys_and_values() {
        let idle = json!({
            "cpu_ms_per_s_per_peer": 12.5,
            "verifies_per_s_per_peer": 0.25,
            "wire_bytes_per_s_per_peer": 50.0,
        });
        let expected = json!({
            "peers": 8, "orgs": 2, "transport": "grpc-tls", "membership_ms": 1500.0,
            "blocks": 2, "block_bytes": 1000, "delivered": 4, "missing": 8,
            "latency_ms": {"p50": 2.0, "p90": 4.0, "p99": 4.0, "max": 4.0},
            "last_peer_ms": {"p50": 4.0, "p99": 4.0},
            "copies_per_peer": 1.25, "verifies": 30, "verifies_per_unique_message": 1.5,
            "messages_sent": 50, "messages_received": 49, "wire_bytes": 4096,
            "connections_opened": 28, "cpu_seconds": 0.25, "rss_mib": 12.346, "idle": idle,
        });
        assert_eq!(value(Some(rest())), expected);
    }

    #[test]
    fn without_rest_idle_is_null() {
        assert_eq!(value(None)["idle"], Value::Null);
    }

    #[test]
    fn without_deliveries_what_cannot_be_said_is_null_and_a_dash() {
        let mut measured = measured(None);
        measured.deliveries = Deliveries::default();
        let report = report(&measured);
        let value = serde_json::to_value(&report).expect("JSON");
        assert_eq!(value["latency_ms"]["p50"], Value::Null);
        assert_eq!(value["copies_per_peer"], Value::Null);
        assert!(report.to_string().contains("p50 -"));
    }

    #[test]
    fn the_table_shows_processor_time_per_delivery_and_memory_per_peer() {
        let table = report(&measured(Some(rest()))).to_string();
        for part in ["62.50 ms per delivery", "1.5 MiB per peer", "8 missing", "12.50 ms CPU"] {
            assert!(table.contains(part), "{part} is not in:\n{table}");
        }
    }

    fn value(rest: Option<Rest>) -> Value {
        serde_json::to_value(report(&measured(rest))).expect("JSON")
    }

    fn report(measured: &Measured) -> Report {
        let args = Line::parse_from(["demo"]).args;
        let published = Published { times: vec![vec![Instant::now(); 2]; 2], bytes: 2000 };
        Report::new(&args, 7, &published, measured)
    }

    fn measured(rest: Option<Rest>) -> Measured {
        Measured {
            membership: Duration::from_millis(1500),
            deliveries: Deliveries {
                count: 4,
                missing: 8,
                latencies: [1, 2, 3, 4].map(Duration::from_millis).to_vec(),
                last_peer: vec![Duration::from_millis(4)],
            },
            totals: Totals {
                block_copies: 5,
                verifies: 30,
                unique_messages: 20,
                messages_sent: 50,
                messages_received: 49,
                wire_bytes: 4096,
                connections: 28,
            },
            cpu: Duration::from_millis(250),
            rss_mib: Some(12.345_678),
            rest,
        }
    }

    fn rest() -> Rest {
        let before = Totals { verifies: 30, wire_bytes: 4096, ..Totals::default() };
        let after = Totals { verifies: 50, wire_bytes: 8096, ..Totals::default() };
        Rest { time: Duration::from_secs(10), cpu: Duration::from_secs(1), before, after }
    }
}
