//! The connections that are open, and the tasks that read them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::{CloseReason, ConnId, TlsBinding};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::StreamExt;
use tracing::{debug, trace};

use super::Input;
use crate::transport::{Connection, Farewell, Incoming, StreamError, Writer};

/// All connections of one node.
#[derive(Debug)]
pub(super) struct Connections {
    open: HashMap<ConnId, Slot>,
    minted: u64,
    inputs: mpsc::Sender<Input>,
    credit: mpsc::UnboundedSender<ConnId>,
    readers: JoinSet<()>,
    /// Bytes of frames that were read and that the node has not taken.
    budget: Arc<Semaphore>,
}

#[derive(Debug)]
struct Slot {
    writer: Writer,
    /// Ends the reader; `None` once the connection is being closed.
    closing: Option<oneshot::Sender<()>>,
}

impl Connections {
    pub(super) fn new(inputs: mpsc::Sender<Input>, credit: mpsc::UnboundedSender<ConnId>) -> Self {
        Self {
            open: HashMap::new(),
            minted: 0,
            inputs,
            credit,
            readers: JoinSet::new(),
            budget: Arc::new(Semaphore::new(UNREAD_BYTES_MAX)),
        }
    }

    /// Names a connection and starts to read it.
    pub(super) fn open(
        &mut self,
        connection: Connection,
        dialled: bool,
    ) -> (ConnId, String, Option<TlsBinding>) {
        self.minted += 1;
        let conn = ConnId::new(self.minted);
        let Connection { remote, tls, incoming, writer } = connection;
        debug!(%conn, remote, dialled, "connection opened");
        writer.report_to(conn, self.credit.clone());
        let (closing, closed) = oneshot::channel();
        let reader = Reader {
            conn,
            incoming,
            writer: writer.clone(),
            inputs: self.inputs.clone(),
            budget: Arc::clone(&self.budget),
            dialled,
        };
        self.readers.spawn(reader.run(closed));
        self.open.insert(conn, Slot { writer, closing: Some(closing) });
        (conn, remote, tls)
    }

    pub(super) fn send(&self, conn: ConnId, frame: Bytes) {
        match self.open.get(&conn) {
            Some(slot) if slot.closing.is_some() => slot.writer.send(frame),
            _ => trace!(%conn, "frame for a connection that has ended"),
        }
    }

    /// Ends a connection after what is queued; its end is reported later.
    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(slot) = self.open.get_mut(&conn) else {
            return;
        };
        if let Some(closing) = slot.closing.take() {
            debug!(%conn, %reason, "closing connection");
            slot.writer.finish(farewell(reason));
            let _ = closing.send(());
        }
    }

    pub(super) fn close_all(&mut self, reason: CloseReason) {
        let mut all: Vec<ConnId> = self.open.keys().copied().collect();
        all.sort_unstable();
        all.into_iter().for_each(|conn| self.close(conn, reason));
    }

    /// Forgets a connection that ended; says whether frames were lost because writing failed.
    pub(super) fn ended(&mut self, conn: ConnId, error: Option<&StreamError>) -> bool {
        let Some(slot) = self.open.remove(&conn) else {
            return false;
        };
        while self.readers.try_join_next().is_some() {}
        let Some(error) = error.filter(|_| slot.closing.is_some()) else {
            debug!(%conn, "connection ended");
            slot.writer.finish(None);
            return false;
        };
        debug!(%conn, %error, "connection ended");
        slot.writer.finish(match error {
            StreamError::Invalid(text) => Some(Farewell::Invalid(text.clone())),
            _ => None,
        });
        match error {
            StreamError::TimedOut(_) => true,
            StreamError::Broken(_) => slot.writer.waiting() > 0,
            StreamError::Refused(_) | StreamError::Invalid(_) => false,
        }
    }

    /// Returns how many frames of a connection were written since the last call.
    pub(super) fn take_credit(&self, conn: ConnId) -> Option<u32> {
        self.open.get(&conn).map(|slot| slot.writer.take_credit())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Ends the readers that still run.
    pub(super) async fn shutdown(&mut self) {
        self.readers.shutdown().await;
    }
}

/// What the remote is told: no word unless it is at fault.
fn farewell(reason: CloseReason) -> Option<Farewell> {
    match reason {
        CloseReason::AuthenticationFailed | CloseReason::Misbehaved => {
            Some(Farewell::Refused(reason.to_string()))
        }
        _ => None,
    }
}

/// The task that reads one connection.
struct Reader {
    conn: ConnId,
    incoming: Incoming,
    writer: Writer,
    inputs: mpsc::Sender<Input>,
    budget: Arc<Semaphore>,
    dialled: bool,
}

impl Reader {
    async fn run(mut self, mut closing: oneshot::Receiver<()>) {
        let error = tokio::select! {
            biased;
            _ = &mut closing => {
                let _ = timeout(CLOSE_TIMEOUT, self.part()).await;
                None
            }
            error = self.read() => error,
        };
        drop(self.incoming);
        let _ = self.inputs.send(Input::Ended { conn: self.conn, error }).await;
    }

    /// Gives the node frames until there are no more. Waiting here is what holds the remote back.
    async fn read(&mut self) -> Option<StreamError> {
        loop {
            let frame = match self.incoming.next().await? {
                Ok(frame) => frame,
                Err(error) => return Some(error),
            };
            let bytes = u32::try_from(frame.len().clamp(1, UNREAD_BYTES_MAX)).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.budget).acquire_many_owned(bytes).await.ok()?;
            let input = Input::Frame { conn: self.conn, frame, permit };
            self.inputs.send(input).await.ok()?;
        }
    }

    /// Waits until what was queued is written. A dialler then waits for the remote's end too: with
    /// it goes the connection, and what is under way on it would be lost.
    async fn part(&mut self) {
        self.writer.finished().await;
        if self.dialled {
            while let Some(Ok(_)) = self.incoming.next().await {}
        }
    }
}

/// A frame on its way to the node, as long as it counts against the budget.
pub(super) type Permit = OwnedSemaphorePermit;

/// How long a connection that is closed may take to write what was queued.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of frames that may wait for the node, of all connections together. A larger frame waits
/// until it is alone.
const UNREAD_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;
