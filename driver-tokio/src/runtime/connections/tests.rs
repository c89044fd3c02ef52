use tokio_stream::{Stream, iter, pending};

use super::*;
use crate::transport::{Outgoing, outgoing};

#[tokio::test]
async fn frames_reach_the_node_in_order_and_then_the_end() {
    let mut world = World::new();
    let frames = ["one", "two", "three"].map(|text| Ok(Bytes::from(text)));
    let (conn, _outgoing) = world.open(iter(frames), false);
    for expected in ["one", "two", "three"] {
        match world.inputs.recv().await {
            Some(Input::Frame { frame, .. }) => assert_eq!(frame, expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(!world.end(conn).await, "a remote that ends its stream is no failure");
}

#[tokio::test]
async fn only_a_break_with_frames_unwritten_counts_as_a_failed_write() {
    let broken = || iter([Err(StreamError::Broken("reset".to_owned()))]);
    let mut world = World::new();
    let (conn, _outgoing) = world.open(broken(), true);
    assert!(!world.end(conn).await, "nothing was to be written");

    let (conn, _outgoing) = world.open(broken(), true);
    world.connections.send(conn, Bytes::from_static(b"unwritten"));
    assert!(world.end(conn).await);

    let refused = iter([Err(StreamError::Refused("shutting down".to_owned()))]);
    let (conn, _outgoing) = world.open(refused, true);
    world.connections.send(conn, Bytes::from_static(b"unwritten"));
    assert!(!world.end(conn).await, "the remote closed the stream");

    let silent = iter([Err(StreamError::TimedOut("keep-alive".to_owned()))]);
    let (conn, _outgoing) = world.open(silent, true);
    assert!(world.end(conn).await, "a remote that answers no ping is not reached");
}

#[tokio::test]
async fn credit_is_returned_once_for_all_that_was_taken() {
    let mut world = World::new();
    let (conn, mut outgoing) = world.open(pending(), true);
    for _ in 0..3 {
        world.connections.send(conn, Bytes::from_static(b"frame"));
        outgoing.next().await.unwrap().unwrap();
    }
    assert_eq!(world.credit.try_recv(), Ok(conn));
    assert!(world.credit.try_recv().is_err(), "one report is enough");
    assert_eq!(world.connections.take_credit(conn), Some(3));
    assert_eq!(world.connections.take_credit(conn), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_flushed_first_and_cut_after_a_second() {
    let mut world = World::new();
    let (conn, mut outgoing) = world.open(pending(), false);
    world.connections.send(conn, Bytes::from_static(b"last words"));
    world.connections.close(conn, CloseReason::Misbehaved);
    world.connections.send(conn, Bytes::from_static(b"too late"));
    assert_eq!(outgoing.next().await, Some(Ok(Bytes::from_static(b"last words"))));
    let farewell = Farewell::Refused("protocol violation".to_owned());
    assert_eq!(outgoing.next().await, Some(Err(farewell)));
    assert_eq!(outgoing.next().await, None);
    drop(outgoing);
    assert!(!world.end(conn).await);

    let (conn, _never_read) = world.open(pending(), false);
    let before = tokio::time::Instant::now();
    world.connections.close(conn, CloseReason::Overflow);
    assert!(!world.end(conn).await);
    assert_eq!(before.elapsed(), CLOSE_TIMEOUT);
}

#[tokio::test]
async fn what_the_node_does_not_take_holds_readers_back() {
    let mut world = World::new();
    let half = Bytes::from(vec![0; UNREAD_BYTES_MAX / 2 + 1]);
    let (_, _outgoing) = world.open(iter([Ok(half.clone()), Ok(half)]), false);
    let Some(Input::Frame { permit, .. }) = world.inputs.recv().await else { panic!("a frame") };
    tokio::task::yield_now().await;
    assert!(world.inputs.try_recv().is_err(), "the second does not fit beside the first");
    drop(permit);
    assert!(matches!(world.inputs.recv().await, Some(Input::Frame { .. })));
}

struct World {
    connections: Connections,
    inputs: mpsc::Receiver<Input>,
    credit: mpsc::UnboundedReceiver<ConnId>,
}

impl World {
    fn new() -> Self {
        let (inputs, arrived) = mpsc::channel(16);
        let (credit, credited) = mpsc::unbounded_channel();
        Self { connections: Connections::new(inputs, credit), inputs: arrived, credit: credited }
    }

    fn open(
        &mut self,
        incoming: impl Stream<Item = Result<Bytes, StreamError>> + Send + 'static,
        dialled: bool,
    ) -> (ConnId, Outgoing) {
        let (writer, outgoing) = outgoing();
        let incoming = Box::pin(incoming);
        let connection = Connection { remote: "test".to_owned(), tls: None, incoming, writer };
        (self.connections.open(connection, dialled).0, outgoing)
    }

    /// Waits for the end of a connection and says whether it counts as a failed write.
    async fn end(&mut self, conn: ConnId) -> bool {
        match self.inputs.recv().await {
            Some(Input::Ended { conn: ended, error }) if ended == conn => {
                self.connections.ended(conn, error.as_ref())
            }
            other => panic!("{other:?}"),
        }
    }
}
