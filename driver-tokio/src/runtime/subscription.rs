//! Notices on their way to whoever listens.

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
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
        loop {
            if let Some(item) = self.try_recv() {
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
        let mut queue = self.shared.lock();
        match std::mem::take(&mut queue.lost) {
            0 => queue.notices.pop_front().map(Item::Notice),
            lost => Some(Item::Lost(lost)),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
    }
}

/// Says which notices a subscriber wants.
pub(super) type Filter = Box<dyn Fn(&Notice) -> bool + Send>;

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
        self.subscribers.retain(|subscriber| subscriber.offer(&notice));
    }
}

impl Subscriber {
    /// Queues a notice if it is wanted; `false` if nobody listens any more.
    fn offer(&self, notice: &Notice) -> bool {
        let wants = |filter: &Filter| catch_unwind(AssertUnwindSafe(|| filter(notice)));
        match self.filter.as_ref().map_or(Ok(true), wants) {
            Ok(true) => self.shared.push(notice.clone()),
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
    notices: VecDeque<Notice>,
    lost: u64,
    closed: bool,
}

impl Shared {
    /// Queues a notice; `false` if nobody listens any more.
    fn push(&self, notice: Notice) -> bool {
        let mut queue = self.lock();
        if queue.closed {
            return false;
        }
        if queue.notices.len() == self.capacity {
            queue.notices.pop_front();
            queue.lost += 1;
        }
        queue.notices.push_back(notice);
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
