//! The task that owns a node, and what it works with.

mod clock;
mod connections;
mod handle;
mod pool;
mod subscription;
mod watched;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::{
    Action, CloseReason, Command, CommandError, Completion, Config, ConfigError, ConnId, DialId,
    Event, Job, JobClass,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{self, timeout},
};
use tracing::{debug, trace};

use self::{
    clock::Clock,
    connections::{Connections, Permit},
    handle::Request,
    pool::LedgerThread,
    watched::Watched,
};
use crate::transport::{
    Accepted, Acceptor, Connection, Counters, Dialled, StreamError, Transport, acceptor,
};

pub(crate) use self::{clock::wall, subscription::Publisher, watched::Watchers};
pub use self::{
    handle::{Handle, PeerStats, SendError},
    pool::{Backends, CryptoPool},
    subscription::{Item, Subscription},
};

/// Starts a node on the current tokio runtime.
///
/// `counters` are those that the transport and the listeners count in.
///
/// # Errors
///
/// If no node can run with this configuration.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn start(
    config: Config,
    backends: Backends,
    pool: CryptoPool,
    transport: Arc<dyn Transport>,
    counters: Arc<Counters>,
) -> Result<(Handle, Acceptor), ConfigError> {
    start_with(Watchers::default(), config, backends, pool, transport, counters)
}

/// As [`start`], and records what the node is told and does, if it is to be recorded.
///
/// # Errors
///
/// As [`start`].
///
/// # Panics
///
/// As [`start`].
#[cfg(feature = "record")]
pub fn start_recorded(
    recording: Option<crate::Recording>,
    config: Config,
    backends: Backends,
    pool: CryptoPool,
    transport: Arc<dyn Transport>,
    counters: Arc<Counters>,
) -> Result<(Handle, Acceptor), ConfigError> {
    let watchers = Watchers { recording, ..Watchers::default() };
    start_with(watchers, config, backends, pool, transport, counters)
}

/// As [`start`], with some who watch from the start.
pub(crate) fn start_with(
    watchers: Watchers,
    config: Config,
    backends: Backends,
    pool: CryptoPool,
    transport: Arc<dyn Transport>,
    counters: Arc<Counters>,
) -> Result<(Handle, Acceptor), ConfigError> {
    let clock = Clock::new();
    let (node, publisher) = Watched::new(config, clock.now(), watchers)?;
    let backends = Arc::new(backends);
    let (requests, requested) = mpsc::channel(REQUESTS_MAX);
    let (inputs, arrived) = mpsc::channel(INPUTS_MAX);
    let (answers, answered) = mpsc::unbounded_channel();
    let (credit, credited) = mpsc::unbounded_channel();
    let (acceptor, accepted) = acceptor();
    let owner = Owner {
        node,
        clock,
        transport,
        connections: Connections::new(inputs.clone(), credit),
        ledger: LedgerThread::new(Arc::clone(&backends), answers.clone()),
        backends,
        pool,
        cpu_jobs: Vec::new(),
        publisher,
        dials: JoinSet::new(),
        inputs,
        arrived,
        requested,
        answers,
        answered,
        credited,
        stop: None,
        accepted,
    };
    tokio::spawn(owner.run());
    Ok((Handle::new(requests, counters, clock), acceptor))
}

/// What reaches the owner from connections and dials.
#[derive(Debug)]
enum Input {
    Dialled { dial: DialId, result: Result<Box<Dialled>, String> },
    Frame { conn: ConnId, frame: Bytes, permit: Permit },
    Ended { conn: ConnId, error: Option<StreamError> },
}

/// The task that owns the node.
struct Owner {
    node: Watched,
    clock: Clock,
    transport: Arc<dyn Transport>,
    connections: Connections,
    backends: Arc<Backends>,
    pool: CryptoPool,
    ledger: LedgerThread,
    /// Jobs for the pool, collected while actions are carried out.
    cpu_jobs: Vec<Job>,
    publisher: Publisher,
    dials: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
    arrived: mpsc::Receiver<Input>,
    requested: mpsc::Receiver<Request>,
    answers: mpsc::UnboundedSender<Completion>,
    answered: mpsc::UnboundedReceiver<Completion>,
    credited: mpsc::UnboundedReceiver<ConnId>,
    /// Since when the node is stopping, and who waits for it.
    stop: Option<Stop>,
    accepted: Accepted,
}

struct Stop {
    deadline: time::Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Owner {
    async fn run(mut self) {
        debug!("node started");
        let mut timer = Box::pin(time::sleep(Duration::ZERO));
        loop {
            self.tick();
            self.act();
            if self.stop.is_some() && self.connections.is_empty() {
                break;
            }
            let wake = self.wake_at();
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            tokio::select! {
                Some(answer) = self.answered.recv() => self.give(Event::JobDone(answer)),
                Some(conn) = self.credited.recv() => self.credit(conn),
                Some(input) = self.arrived.recv() => self.input(input),
                Some(connection) = self.accepted.recv() => self.connected(connection, None),
                request = self.requested.recv(), if self.stop.is_none() => self.request(request),
                () = &mut timer => {
                    if self.stop.as_ref().is_some_and(|stop| stop.deadline <= wake) {
                        break;
                    }
                }
            }
            self.take_waiting();
        }
        self.finish().await;
    }

    /// Takes what waits, fairly, for a bounded time: input goes before timers that are due.
    fn take_waiting(&mut self) {
        let until = time::Instant::now() + BATCH_TIME_MAX;
        for round in 1..=BATCH_ROUNDS_MAX {
            let mut idle = true;
            if let Ok(answer) = self.answered.try_recv() {
                idle = false;
                self.give(Event::JobDone(answer));
            }
            if let Ok(conn) = self.credited.try_recv() {
                idle = false;
                self.credit(conn);
            }
            if let Ok(input) = self.arrived.try_recv() {
                idle = false;
                self.input(input);
            }
            if self.stop.is_none()
                && let Ok(request) = self.requested.try_recv()
            {
                idle = false;
                self.request(Some(request));
            }
            if idle || (round % 16 == 0 && time::Instant::now() >= until) {
                return;
            }
        }
    }

    /// Fires the timer that the clock, not the runtime, says is due.
    fn tick(&mut self) {
        if let Some(reading) = self.clock.news() {
            self.give(Event::WallClock(reading));
        }
        let now = self.clock.now();
        if self.node.poll_timeout().is_some_and(|due| due <= now) {
            trace!(timer = ?self.node.next_timer(), "tick");
            self.node.handle(now, Event::Tick);
        }
    }

    /// Carries out all that the node wants done.
    fn act(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Dial { dial, endpoint, purpose } => {
                    trace!(%dial, %endpoint, ?purpose, "dial");
                    let dialling = self.transport.dial(endpoint, purpose);
                    let inputs = self.inputs.clone();
                    self.dials.spawn(async move {
                        let result = dialling.await.map(Box::new);
                        let _ = inputs.send(Input::Dialled { dial, result }).await;
                    });
                }
                Action::Send { conn, frame } => self.connections.send(conn, frame),
                Action::Close { conn, reason } => self.connections.close(conn, reason),
                Action::Job(job) => match job.class() {
                    JobClass::Cpu => self.cpu_jobs.push(job),
                    JobClass::Ledger => self.ledger.submit(job),
                },
                Action::Notify(notice) => self.publisher.publish(notice),
            }
        }
        if !self.cpu_jobs.is_empty() {
            self.pool.submit(&mut self.cpu_jobs, &self.backends, &self.answers);
        }
    }

    fn give(&mut self, event: Event) {
        self.node.handle(self.clock.now(), event);
    }

    fn credit(&mut self, conn: ConnId) {
        if let Some(frames @ 1..) = self.connections.take_credit(conn) {
            self.give(Event::Sent { conn, frames });
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Frame { conn, frame, permit } => {
                self.give(Event::Message { conn, frame });
                drop(permit);
            }
            Input::Dialled { dial, result } => {
                while self.dials.try_join_next().is_some() {}
                match result.map(|dialled| *dialled) {
                    Ok(Dialled::Stream(connection)) => self.connected(connection, Some(dial)),
                    Ok(Dialled::Pinged) => self.give(Event::Pinged { dial }),
                    Err(error) => {
                        debug!(%dial, error, "dial failed");
                        self.give(Event::DialFailed { dial, error: error.into() });
                    }
                }
            }
            Input::Ended { conn, error } => {
                let write_failed = self.connections.ended(conn, error.as_ref());
                self.give(Event::Disconnected { conn, write_failed });
            }
        }
    }

    fn connected(&mut self, connection: Connection, dial: Option<DialId>) {
        if self.stop.is_some() {
            return;
        }
        let (conn, remote, tls) = self.connections.open(connection, dial.is_some());
        self.give(Event::Connected { conn, dial, remote, tls });
    }

    /// Serves a handle; with `None` the last handle is gone.
    fn request(&mut self, request: Option<Request>) {
        match request {
            Some(Request::Command { command: Command::Stop, answer }) => {
                self.begin_stop(None);
                let _ = answer.send(Ok(()));
            }
            Some(Request::Command { command, answer }) => {
                let now = self.clock.now();
                let _ = answer.send(self.node.command(now, command));
            }
            Some(Request::Query(question)) => question(&self.node),
            Some(Request::Subscribe { capacity, filter, answer }) => {
                let _ = answer.send(self.publisher.subscribe(capacity, filter));
            }
            Some(Request::Stop { answer }) => self.begin_stop(Some(answer)),
            None => self.begin_stop(None),
        }
    }

    fn begin_stop(&mut self, waiting: Option<oneshot::Sender<()>>) {
        debug!("node stopping");
        let deadline = time::Instant::now() + STOP_TIMEOUT;
        let stop = Stop { deadline, waiting: Vec::new() };
        self.stop.get_or_insert(stop).waiting.extend(waiting);
        match self.node.command(self.clock.now(), Command::Stop) {
            Ok(()) | Err(CommandError::Stopped) => {}
            Err(error) => debug!(%error, "the node does not stop by itself"),
        }
        self.act();
        // A dial that the node no longer knows of may have left a connection.
        self.connections.close_all(CloseReason::Stopping);
        self.dials.abort_all();
        self.accepted.stop();
    }

    /// Ends what still runs, then tells those who wait.
    async fn finish(mut self) {
        self.accepted.stop();
        self.dials.shutdown().await;
        self.connections.shutdown().await;
        drop(self.arrived);
        drop(self.inputs);
        drop(self.transport);
        let _ = timeout(STOP_TIMEOUT, self.accepted.ended()).await;
        drop(self.answered);
        self.ledger.stop().await;
        self.node.end().await;
        debug!("node stopped");
        for answer in self.stop.into_iter().flat_map(|stop| stop.waiting) {
            let _ = answer.send(());
        }
        // The requests' receiver goes last: a closed channel means that the node has stopped.
        drop(self.requested);
    }

    /// Returns when the loop must go round even without input.
    fn wake_at(&self) -> time::Instant {
        let due = self.node.poll_timeout().and_then(|due| self.clock.async_instant(due));
        let far = time::Instant::now() + IDLE_MAX;
        let due = due.map_or(far, |due| due.min(far));
        self.stop.as_ref().map_or(due, |stop| stop.deadline.min(due))
    }
}

/// Requests of handles that may wait; the handle waits when there are more.
const REQUESTS_MAX: usize = 64;

/// Inputs that may wait for the owner; readers wait when there are more.
const INPUTS_MAX: usize = 1024;

/// Rounds that waiting input is taken for before timers get their turn.
const BATCH_ROUNDS_MAX: usize = 256;

/// The same in time.
const BATCH_TIME_MAX: Duration = Duration::from_millis(5);

/// How long a node that stops waits for its connections, and then for its listeners.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest that the owner sleeps.
const IDLE_MAX: Duration = Duration::from_secs(60);
