//! Notices on their way to whoever listens.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use gossip_core::Notice;
use tokio::sync::Notify;

/// What a subscriber receives.
#[derive(Clone, Debug)]
pub enum Item {
    /// The node noticed something.
    Notice(Notice),
    /// The subscriber was slow: this many older notices made room for newer ones.
    Lost(u64),
}

/// A bounded queue of notices. When it is full the oldest makes room, and the subscriber is told.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
}

impl Subscription {
    /// Waits for the next notice; `None` once the node has stopped and all was received.
    pub async fn recv(&mut self) -> Option<Item> {
        self.recv_at().await.map(|(_, item)| item)
    }

    /// As [`recv`](Self::recv), with the time at which the node noticed it.
    pub async fn recv_at(&mut self) -> Option<(Instant, Item)> {
        loop {
            if let Some(item) = self.take() {
                return Some(item);
            }
            if self.shared.lock().closed {
                return None;
            }
            // A notice between the look and the wait leaves a permit behind.
            self.shared.changed.notified().await;
        }
    }

    /// Returns the next notice if one waits.
    pub fn try_recv(&mut self) -> Option<Item> {
        self.take().map(|(_, item)| item)
    }

    fn take(&mut self) -> Option<(Instant, Item)> {
        let mut queue = self.shared.lock();
        match std::mem::take(&mut queue.lost) {
            0 => queue.pop().map(|(at, notice)| (at, Item::Notice(notice))),
            lost => Some((Instant::now(), Item::Lost(lost))),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
    }
}

/// Says which notices a subscriber wants.
pub(crate) type Filter = Box<dyn Fn(&Notice) -> bool + Send>;

/// The node's end of all subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    shared: Arc<Shared>,
    /// `None` if it wants all.
    filter: Option<Filter>,
}

impl Publisher {
    pub(crate) fn subscribe(&mut self, capacity: usize, filter: Option<Filter>) -> Subscription {
        let shared = Arc::new(Shared {
            capacity: capacity.max(1),
            queue: Mutex::new(Queue::default()),
            changed: Notify::new(),
        });
        self.subscribers.push(Subscriber { shared: Arc::clone(&shared), filter });
        Subscription { shared }
    }

    pub(crate) fn publish(&mut self, notice: Notice) {
        let now = Instant::now();
        self.subscribers.retain(|subscriber| subscriber.offer(now, &notice));
    }
}

impl Subscriber {
    /// Queues a notice if it is wanted; `false` if nobody listens any more.
    fn offer(&self, now: Instant, notice: &Notice) -> bool {
        let wants = |filter: &Filter| catch_unwind(AssertUnwindSafe(|| filter(notice)));
        match self.filter.as_ref().map_or(Ok(true), wants) {
            Ok(true) => self.shared.push(now, notice.clone()),
            // The other end holds the second reference.
            Ok(false) => Arc::strong_count(&self.shared) > 1,
            Err(_) => {
                self.shared.close();
                false
            }
        }
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        for subscriber in &self.subscribers {
            subscriber.shared.close();
        }
    }
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    notices: VecDeque<(Instant, Notice)>,
    /// Bytes of blocks and messages in them.
    bytes: usize,
    lost: u64,
    closed: bool,
}

impl Queue {
    fn pop(&mut self) -> Option<(Instant, Notice)> {
        let (at, notice) = self.notices.pop_front()?;
        self.bytes -= bytes_in(&notice);
        Some((at, notice))
    }
}

impl Shared {
    /// Queues a notice; `false` if nobody listens any more.
    fn push(&self, now: Instant, notice: Notice) -> bool {
        let mut queue = self.lock();
        if queue.closed {
            return false;
        }
        let bytes = bytes_in(&notice);
        while queue.notices.len() >= self.capacity || queue.bytes + bytes > BYTES_MAX {
            if queue.pop().is_none() {
                break;
            }
            queue.lost += 1;
        }
        queue.bytes += bytes;
        queue.notices.push_back((now, notice));
        drop(queue);
        self.changed.notify_one();
        true
    }

    /// Lets the subscriber know that nothing more comes.
    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts what a peer can make large in a notice.
fn bytes_in(notice: &Notice) -> usize {
    match notice {
        Notice::BlockReceived { block, .. } => block.len(),
        Notice::Message { message, .. } => message.body.len(),
        _ => 0,
    }
}

/// Bytes of blocks and messages that may wait for one subscriber; a larger one waits alone.
const BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gossip_core::{ChannelId, PkiId};

    use super::*;

    fn block(number: u64, bytes: usize) -> Notice {
        let channel = ChannelId::from("ch");
        let (block, from) = (Bytes::from(vec![0; bytes]), PkiId::new([0; 32]));
        Notice::BlockReceived { channel, number, block, from }
    }

    /// Takes the numbers of the blocks that wait, and how many were lost before.
    fn drain(subscription: &mut Subscription) -> (u64, Vec<u64>) {
        let (mut lost, mut numbers) = (0, Vec::new());
        while let Some(item) = subscription.try_recv() {
            match item {
                Item::Lost(count) => lost += count,
                Item::Notice(Notice::BlockReceived { number, .. }) => numbers.push(number),
                Item::Notice(other) => panic!("{other:?}"),
            }
        }
        (lost, numbers)
    }

    #[test]
    fn of_too_many_or_too_large_notices_the_oldest_make_room() {
        let mut publisher = Publisher::default();
        let mut subscription = publisher.subscribe(3, None);
        (0..5).for_each(|number| publisher.publish(block(number, 1)));
        assert_eq!(drain(&mut subscription), (2, vec![2, 3, 4]));
        for (number, bytes) in [(5, BYTES_MAX / 2), (6, BYTES_MAX / 2), (7, 1)] {
            publisher.publish(block(number, bytes));
        }
        assert_eq!(drain(&mut subscription), (1, vec![6, 7]));
        publisher.publish(block(8, 1));
        publisher.publish(block(9, BYTES_MAX + 1));
        assert_eq!(drain(&mut subscription), (1, vec![9]), "one may be larger");
    }

    #[test]
    fn what_is_not_wanted_takes_no_room() {
        let mut publisher = Publisher::default();
        let is_wanted = |notice: &Notice| bytes_in(notice) == 2;
        let mut subscription = publisher.subscribe(1, Some(Box::new(is_wanted)));
        for (number, bytes) in [(0, 1), (1, 2), (2, 3)] {
            publisher.publish(block(number, bytes));
        }
        assert_eq!(drain(&mut subscription), (0, vec![1]));
        drop(subscription);
        publisher.publish(block(3, 1));
        assert!(publisher.subscribers.is_empty(), "nobody listens");
    }
}
