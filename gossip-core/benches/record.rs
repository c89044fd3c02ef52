//! What recording costs the task that owns a node: a frame that comes, and what the node does with
//! it, written into a buffer.
//!
//! `cargo bench -p gossip-core --bench record`

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use gossip_core::{
    Action, Config, ConnId, Endpoint, Event, Identity, Instant, OrgId, PkiId, record::Writer,
};

fn main() {
    divan::main();
}

/// A frame that comes and is passed on to three peers: an alive message, a block of 100 KiB.
#[divan::bench(args = [300, 100 << 10], sample_size = 100)]
fn passed_on(bencher: Bencher<'_, '_>, bytes: usize) {
    let (conn, frame) = (ConnId::new(1), Bytes::from(vec![7; bytes]));
    let event = Event::Message { conn, frame: frame.clone() };
    let action = Action::Send { conn, frame };
    let mut log = Vec::new();
    let mut writer = writer(&mut log);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        log.clear();
        writer.event(Instant::from_nanos(1 << 40), &event, &mut log).expect("small");
        (0..3).for_each(|_| writer.action(&action));
        writer.actions(&mut log).expect("small");
        log.len()
    });
}

/// A timer that is due and leads to nothing.
#[divan::bench(sample_size = 1000)]
fn tick(bencher: Bencher<'_, '_>) {
    let mut log = Vec::new();
    let mut writer = writer(&mut log);
    bencher.bench_local(|| {
        log.clear();
        writer.event(Instant::from_nanos(1 << 40), &Event::Tick, &mut log).expect("small");
        writer.actions(&mut log).expect("small");
        log.len()
    });
}

fn writer(log: &mut Vec<u8>) -> Writer {
    let identity = Identity::new(&b"identity"[..]);
    let config =
        Config::new(identity, PkiId::new([1; 32]), OrgId::from("org"), Endpoint::from("host:1"));
    Writer::new(&config, Instant::ZERO, log).expect("small")
}
