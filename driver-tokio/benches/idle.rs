//! What peers cost that know each other and have nothing to say, many in one process.
//!
//! `cargo bench -p gossip-tokio --bench idle -- [PEERS]`

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, sync::Arc, time::Duration};

use gossip_core::{Config, Endpoint};
use gossip_tokio::{CryptoPool, Handle, Peer};
use tokio::{net::TcpListener, time::sleep};

use crate::support::{
    Authority, loopback,
    toy::{self, ToyCrypto, ToyLedger},
};

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(32);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(count));
}

async fn measure(count: usize) {
    let tls = loopback(&Authority::new("ca"));
    let pool = CryptoPool::default();
    let before = resident_kib();
    let mut peers: Vec<Handle> = Vec::new();
    let mut bootstrap = Vec::new();
    for number in 0..count {
        let name: &'static str = format!("peer{number}").leak();
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = config(name, &address.to_string(), &bootstrap);
        let peer = Peer::builder(config, ToyCrypto::new(name), Arc::<ToyLedger>::default())
            .tls(tls.clone())
            .pool(pool.clone());
        peers.push(peer.listen(&address.to_string()).await.unwrap().0);
        bootstrap.truncate(2);
        bootstrap.push(address.to_string());
    }
    for peer in &peers {
        while peer.members().await.unwrap().len() < count - 1 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    // Everybody talks to everybody sooner or later: members are drawn at random.
    sleep(Duration::from_secs(60)).await;
    let (cpu, mut connections, mut wire) = (cpu_ticks(), 0, 0);
    for peer in &peers {
        let stats = peer.stats().await.unwrap();
        connections += stats.node.connections;
        wire += stats.transport.wire_bytes_out;
    }
    sleep(Duration::from_secs(20)).await;
    let cpu_percent = (cpu_ticks() - cpu) as f64 / 20.0;
    let mut wire_after = 0;
    for peer in &peers {
        wire_after += peer.stats().await.unwrap().transport.wire_bytes_out;
    }
    let per_peer = (resident_kib() - before) / count as u64;
    println!("{count} peers, {connections} connection ends, all members known");
    println!("  resident per peer {per_peer} KiB (before the first: {before} KiB)");
    println!("  CPU of all peers together {cpu_percent:.1} % of one core");
    println!("  wire per peer {} B/s", (wire_after - wire) / 20 / count as u64);
}

/// Fabric's times.
fn config(name: &'static str, address: &str, bootstrap: &[String]) -> Config {
    let toy = toy::config(name, address, bootstrap);
    let mut config = Config::new(toy.identity, toy.pki_id, toy.org, Endpoint::from(address));
    config.bootstrap = toy.bootstrap;
    config
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Processor time so far, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}
