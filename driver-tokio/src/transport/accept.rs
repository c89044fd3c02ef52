//! The streams that remotes open, on their way to the node.

use std::fmt;

use tokio::sync::{mpsc, watch};

use super::Connection;

/// Makes the two ends of the queue of streams that remotes opened.
#[must_use]
pub fn acceptor() -> (Acceptor, Accepted) {
    let (sender, connections) = mpsc::channel(WAITING_MAX);
    let (stopping, stops) = watch::channel(false);
    let (alive, ended) = mpsc::channel(1);
    let life = Lifeline { stops, _alive: alive };
    (Acceptor { sender, life }, Accepted { connections, stopping, ended })
}

/// The end that a server puts streams in. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Acceptor {
    sender: mpsc::Sender<Connection>,
    life: Lifeline,
}

impl Acceptor {
    /// Gives the node a stream; waits while others wait.
    ///
    /// # Errors
    ///
    /// [`Stopped`], with the connection dropped.
    pub async fn accept(&self, connection: Connection) -> Result<(), Stopped> {
        if *self.life.stops.borrow() {
            return Err(Stopped);
        }
        self.sender.send(connection).await.map_err(|_| Stopped)
    }

    /// Returns what tells a listener to end, and the node that it has.
    #[must_use]
    pub fn lifeline(&self) -> Lifeline {
        self.life.clone()
    }

    /// Makes an acceptor that may outlive the node: it is not waited for.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.life._alive = mpsc::channel(1).0;
        self
    }
}

/// Ties a task to a node: the node, when it stops, waits a little until all are dropped.
#[derive(Clone, Debug)]
pub struct Lifeline {
    stops: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Lifeline {
    /// Waits until the node is stopping.
    pub async fn stopping(&mut self) {
        let _ = self.stops.wait_for(|stopping| *stopping).await;
    }
}

/// The node's end. Dropping it stops whoever accepts.
#[derive(Debug)]
pub struct Accepted {
    connections: mpsc::Receiver<Connection>,
    stopping: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Accepted {
    /// Waits for the next stream; `None` if nobody accepts any more.
    pub async fn recv(&mut self) -> Option<Connection> {
        self.connections.recv().await
    }

    /// Has everybody who holds a [`Lifeline`] end, and refuses streams.
    pub fn stop(&self) {
        let _ = self.stopping.send(true);
    }

    /// Waits until every lifeline and every acceptor that is not detached is dropped.
    pub async fn ended(&mut self) {
        self.connections.close();
        while self.connections.recv().await.is_some() {}
        let _ = self.ended.recv().await;
    }
}

/// The node has stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node has stopped")
    }
}

impl std::error::Error for Stopped {}

/// Streams that may wait for the node; servers wait with more.
const WAITING_MAX: usize = 64;
