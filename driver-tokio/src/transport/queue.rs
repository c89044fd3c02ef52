//! The frames that wait to be written to one connection.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use gossip_core::ConnId;
use tokio::sync::mpsc;
use tokio_stream::Stream;

/// Makes the two ends of a connection's queue of frames to write.
///
/// The queue is not bounded here: whoever writes keeps to the credit that taking frames returns.
#[must_use]
pub fn outgoing() -> (Writer, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::default());
    let writer = Writer { sender, shared: Arc::clone(&shared) };
    (writer, Outgoing { receiver, shared })
}

/// The end of a connection's queue that frames are put in.
#[derive(Clone, Debug)]
pub struct Writer {
    sender: mpsc::UnboundedSender<Item>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Queues a frame; drops it if the connection has ended.
    pub fn send(&self, frame: Bytes) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(Item::Frame(frame));
    }

    /// Ends the stream after what is queued; with an error for the remote if there is one.
    pub fn finish(&self, error: Option<Farewell>) {
        let _ = self.sender.send(Item::End(error));
    }

    /// Waits until the transport has taken everything, or given the connection up.
    pub async fn finished(&self) {
        self.sender.closed().await;
    }

    /// Returns how many frames the transport has not taken.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Has `credit` told of this connection whenever frames were taken since it was last asked.
    pub(crate) fn report_to(&self, conn: ConnId, credit: mpsc::UnboundedSender<ConnId>) {
        let _ = self.shared.report.set((conn, credit));
    }

    /// Returns how many frames were taken since the last call.
    pub(crate) fn take_credit(&self) -> u32 {
        self.shared.taken.swap(0, Ordering::AcqRel)
    }
}

/// The end of a connection's queue that the transport takes frames from.
///
/// A transport takes a frame when it can write it, and not before.
#[derive(Debug)]
pub struct Outgoing {
    receiver: mpsc::UnboundedReceiver<Item>,
    shared: Arc<Shared>,
}

impl Stream for Outgoing {
    type Item = Result<Bytes, Farewell>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx).map(|item| match item? {
            Item::Frame(frame) => {
                self.shared.frame_taken();
                Some(Ok(frame))
            }
            Item::End(error) => {
                self.receiver.close();
                error.map(Err)
            }
        })
    }
}

/// An error that a stream ends with, told to the remote.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Farewell {
    /// The remote is not served, with a reason for people.
    Refused(String),
    /// The remote sent what is not taken: no frame, or too large a one.
    Invalid(String),
}

#[derive(Debug)]
enum Item {
    Frame(Bytes),
    End(Option<Farewell>),
}

#[derive(Debug, Default)]
struct Shared {
    /// Frames queued and not taken.
    waiting: AtomicU32,
    /// Frames taken and not yet reported.
    taken: AtomicU32,
    report: OnceLock<(ConnId, mpsc::UnboundedSender<ConnId>)>,
}

impl Shared {
    /// Counts a frame; only the first since the last report wakes anybody.
    fn frame_taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.taken.fetch_add(1, Ordering::AcqRel) == 0
            && let Some((conn, credit)) = self.report.get()
        {
            let _ = credit.send(*conn);
        }
    }
}
