//! The threads that do cryptography, and the thread that keeps the ledger.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc},
    thread,
};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Completion, Crypto, Identity, IdentityFacts, Job, JobError, Ledger, Outcome, Signed,
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// What signs and checks for one node, and what keeps its blocks.
#[derive(Clone)]
pub struct Backends {
    /// Signs and checks, on any thread.
    pub crypto: Arc<dyn Crypto + Send + Sync>,
    /// Keeps the blocks, on one thread.
    pub ledger: Arc<dyn Ledger + Send + Sync>,
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backends").finish_non_exhaustive()
    }
}

impl Backends {
    fn run(&self, job: Job) -> Completion {
        job.run(&Guarded(&*self.crypto), &Guarded(&*self.ledger))
    }
}

/// A few plain threads that do the cryptography of all nodes of a process.
///
/// Clones share the threads, which end with the last clone.
#[derive(Clone, Debug)]
pub struct CryptoPool {
    owner: Arc<Owner>,
}

impl CryptoPool {
    /// Jobs that may wait before more are answered with [`Outcome::Failed`].
    pub const WAITING_MAX: usize = 65_536;

    /// Starts `threads` threads, at least one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self::with_capacity(threads, Self::WAITING_MAX)
    }

    /// Starts `threads` threads for which at most `waiting_max` jobs may wait.
    #[must_use]
    pub fn with_capacity(threads: usize, waiting_max: usize) -> Self {
        let queue = Arc::new(Queue {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            threads: threads.max(1),
            waiting_max,
        });
        for number in 0..queue.threads {
            let queue = Arc::clone(&queue);
            let worker = thread::Builder::new().name(format!("gossip-crypto-{number}"));
            if let Err(error) = worker.spawn(move || queue.work()) {
                error!(%error, "cannot start a thread of the crypto pool");
            }
        }
        Self { owner: Arc::new(Owner { queue }) }
    }

    /// Takes jobs, all of one node. Those that do not fit are answered as failed.
    pub(crate) fn submit(
        &self,
        jobs: &mut Vec<Job>,
        backends: &Arc<Backends>,
        answers: &mpsc::UnboundedSender<Completion>,
    ) {
        let queue = &*self.owner.queue;
        let mut state = queue.lock();
        let room = queue.waiting_max.saturating_sub(state.waiting.len()).min(jobs.len());
        state.waiting.extend(jobs.drain(..room).map(|job| Task {
            job,
            backends: Arc::clone(backends),
            answers: answers.clone(),
        }));
        let wake = state.idle.min(room);
        drop(state);
        (0..wake).for_each(|_| queue.changed.notify_one());
        for job in jobs.drain(..) {
            let _ = answers.send(job.complete(Outcome::Failed("the crypto pool is full".into())));
        }
    }
}

impl Default for CryptoPool {
    /// Starts as many threads as the machine runs at once.
    fn default() -> Self {
        Self::new(thread::available_parallelism().map_or(1, usize::from))
    }
}

/// How many jobs a thread takes at once, at most.
const CHUNK_MAX: usize = 16;

/// Ends the threads when the last clone of the pool goes.
#[derive(Debug)]
struct Owner {
    queue: Arc<Queue>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    threads: usize,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Task>,
    /// Threads that sleep.
    idle: usize,
    closed: bool,
}

#[derive(Debug)]
struct Task {
    job: Job,
    backends: Arc<Backends>,
    answers: mpsc::UnboundedSender<Completion>,
}

impl Queue {
    fn work(&self) {
        let mut chunk = Vec::with_capacity(CHUNK_MAX);
        while self.next_chunk(&mut chunk) {
            for Task { job, backends, answers } in chunk.drain(..) {
                if !answers.is_closed() {
                    let _ = answers.send(backends.run(job));
                }
            }
        }
    }

    /// Waits for work and takes this thread's share of it; `false` once the pool is gone.
    fn next_chunk(&self, chunk: &mut Vec<Task>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let share = state.waiting.len().div_ceil(self.threads).min(CHUNK_MAX);
        chunk.extend(state.waiting.drain(..share));
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that does one node's ledger jobs in order. It starts with the first job.
#[derive(Debug)]
pub(crate) struct LedgerThread {
    backends: Arc<Backends>,
    answers: mpsc::UnboundedSender<Completion>,
    running: Option<(std_mpsc::Sender<Job>, oneshot::Receiver<()>)>,
}

impl LedgerThread {
    pub(crate) const fn new(
        backends: Arc<Backends>,
        answers: mpsc::UnboundedSender<Completion>,
    ) -> Self {
        Self { backends, answers, running: None }
    }

    pub(crate) fn submit(&mut self, job: Job) {
        if self.running.is_none() {
            self.running = self.start();
        }
        let unsent = match &self.running {
            Some((jobs, _)) => jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        };
        if let Some(job) = unsent {
            let failed = Outcome::Failed("the ledger thread does not run".into());
            let _ = self.answers.send(job.complete(failed));
        }
    }

    /// Ends the thread after the job that it is at.
    pub(crate) async fn stop(self) {
        if let Some((jobs, ended)) = self.running {
            drop(jobs);
            let _ = ended.await;
        }
    }

    fn start(&self) -> Option<(std_mpsc::Sender<Job>, oneshot::Receiver<()>)> {
        let (jobs, waiting) = std_mpsc::channel::<Job>();
        let (ending, ended) = oneshot::channel();
        let (backends, answers) = (Arc::clone(&self.backends), self.answers.clone());
        let work = move || {
            for job in waiting {
                if !answers.is_closed() {
                    let _ = answers.send(backends.run(job));
                }
            }
            let _ = ending.send(());
        };
        match thread::Builder::new().name("gossip-ledger".to_owned()).spawn(work) {
            Ok(_) => Some((jobs, ended)),
            Err(error) => {
                error!(%error, "cannot start the ledger thread");
                None
            }
        }
    }
}

/// A backend whose panics are failures: they must not take a thread down.
struct Guarded<'a, T: ?Sized>(&'a T);

impl<T: ?Sized> Guarded<'_, T> {
    fn call<R>(&self, work: impl FnOnce(&T) -> Result<R, JobError>) -> Result<R, JobError> {
        catch_unwind(AssertUnwindSafe(|| work(self.0))).unwrap_or_else(|panic| {
            let message = panic_message(&*panic);
            error!(message, "a backend panicked");
            Err(JobError::failed(format!("the backend panicked: {message}")))
        })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

impl Crypto for Guarded<'_, dyn Crypto + Send + Sync> {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.call(|crypto| crypto.sign(payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        self.call(|crypto| crypto.verify(identity, message))
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        self.call(|crypto| crypto.validate_identity(identity))
    }

    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        self.call(|crypto| crypto.check_access(channel, identity, message))
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        self.call(|crypto| crypto.verify_block(channel, number, block))
    }
}

impl Ledger for Guarded<'_, dyn Ledger + Send + Sync> {
    fn commit(&self, channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        self.call(|ledger| ledger.commit(channel, number, block))
    }

    fn read_blocks(
        &self,
        channel: &ChannelId,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        self.call(|ledger| ledger.read_blocks(channel, first, last, bytes_max))
    }
}
