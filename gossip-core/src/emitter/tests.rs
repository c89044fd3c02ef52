//! Batches: docs/protocol/40-emitter-and-node.md §3.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{ChannelId, Config, Identity, Instant, OrgId, PkiId};

use super::{Block, Emitter, Entry, Item, Sources};

const LATENCY: Duration = Duration::from_millis(10);

/// An emitter whose node settles after every input.
struct World {
    config: Config,
    emitter: Emitter,
    now: Instant,
    /// The numbers of the blocks of each batch.
    batches: Vec<Vec<u64>>,
    timer: Option<Instant>,
}

impl World {
    fn new(iterations: u32, burst: usize) -> Self {
        let identity = Identity::new("own");
        let mut config =
            Config::new(identity, PkiId::new([0; 32]), OrgId::from("org"), "own:7051".into());
        config.propagate_iterations = iterations;
        config.max_propagation_burst_size = burst;
        config.max_propagation_burst_latency = LATENCY;
        let emitter = Emitter::new(&config);
        Self { config, emitter, now: Instant::from_nanos(5), batches: Vec::new(), timer: None }
    }

    fn settle(&mut self) {
        while let Some(batch) = self.emitter.take(self.now, &self.config) {
            self.batches.push(batch.iter().map(number).collect());
            self.emitter.give_back(batch);
        }
        self.timer = self.emitter.arm().or(self.timer);
    }

    fn add(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            let (channel, frame) = (ChannelId::from("ch"), Bytes::new());
            let block = Block { channel, number, frame, is_pulled: false };
            self.emitter.add(Item::Block(block.into()), Sources::new());
        }
        self.settle();
    }

    /// Lets time go on, and the timer fire that is due then.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.timer.take_if(|at| *at <= until) {
            self.now = at;
            self.settle();
        }
        self.now = until;
    }
}

fn number(entry: &Entry) -> u64 {
    let Item::Block(block) = &entry.item else { panic!("another item") };
    block.number
}

/// N-1.
#[test]
fn each_message_is_in_one_batch_in_the_order_in_which_it_came() {
    let mut world = World::new(1, 10);
    world.add([1]);
    world.add([2]);
    world.add([3]);
    world.pass(LATENCY);
    world.pass(LATENCY * 10);
    assert_eq!(world.batches, [vec![1], vec![2, 3]]);
}

/// N-2.
#[test]
fn the_last_message_that_fits_lets_the_batch_go_at_once() {
    let mut world = World::new(1, 10);
    world.add([0]);
    world.add(1..10);
    assert_eq!(world.batches.len(), 1);
    world.add([10]);
    assert_eq!(world.batches, [vec![0], (1..=10).collect()]);
}

/// N-3; unlike Fabric's, a message that comes after a pause does not wait at all.
#[test]
fn nothing_waits_for_longer_than_the_latency() {
    let mut world = World::new(1, 10);
    world.add([1]);
    assert_eq!(world.batches, [vec![1]]);
    world.pass(LATENCY / 2);
    world.add([2]);
    assert_eq!(world.batches.len(), 1);
    world.pass(LATENCY / 2);
    assert_eq!(world.batches.len(), 2);
    world.pass(LATENCY);
    world.add([3]);
    assert_eq!(world.batches.len(), 3);
}

/// N-4.
#[test]
fn with_several_iterations_a_message_is_in_as_many_batches_in_a_row() {
    let mut world = World::new(3, 10);
    world.add([1]);
    world.pass(LATENCY);
    world.add([2]);
    world.pass(LATENCY * 20);
    assert_eq!(world.batches, [vec![1], vec![1], vec![1, 2], vec![2], vec![2]]);
}

/// N-4: a batch that was full goes again when its time has come, not at once.
#[test]
fn what_was_in_a_full_batch_waits_for_its_next_one() {
    let mut world = World::new(3, 2);
    world.add([1]);
    world.add([2]);
    assert_eq!(world.batches, [vec![1], vec![1, 2]]);
    world.pass(LATENCY);
    assert_eq!(world.batches[2..], [[1, 2]]);
    world.pass(LATENCY * 20);
    assert_eq!(world.batches[3..], [[2]]);
}

/// N-5: negative iterations cannot be written down.
#[test]
fn with_no_iterations_nothing_is_emitted() {
    let mut world = World::new(0, 1);
    world.add(0..100);
    world.pass(LATENCY * 10);
    assert_eq!((world.batches, world.timer), (vec![], None));
}

/// N-6.
#[test]
fn what_waits_when_the_emitter_stops_is_lost() {
    let mut world = World::new(1, 10);
    world.add([1]);
    world.add([2]);
    world.emitter.stop();
    world.add([3]);
    world.pass(LATENCY * 10);
    assert_eq!(world.batches, [vec![1]]);
}

/// N-7.
#[test]
fn fifty_messages_make_five_batches() {
    let mut world = World::new(1, 10);
    world.add(0..50);
    world.pass(LATENCY * 10);
    assert_eq!(world.batches.iter().map(Vec::len).collect::<Vec<_>>(), [10; 5]);
}

#[test]
fn without_latency_nothing_waits() {
    let mut world = World::new(1, 10);
    world.config.max_propagation_burst_latency = Duration::ZERO;
    for number in 0..5 {
        world.add([number]);
    }
    assert_eq!(world.batches.len(), 5);
}
