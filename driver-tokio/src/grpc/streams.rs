//! gRPC's streams of messages as the runtime wants them.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Sleep};
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use crate::transport::{Farewell, Outgoing, StreamError};

/// What a client sends us.
pub(super) struct Requests(pub(super) Streaming<Bytes>);

impl Stream for Requests {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // A client has no status to send: one without a cause is our own verdict on its frame.
        Pin::new(&mut self.0)
            .poll_next(cx)
            .map_err(|status| stream_error(&status, StreamError::Invalid))
    }
}

/// What we send to a client: frames, then a status.
pub(super) struct Replies(pub(super) Outgoing);

impl Stream for Replies {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map_err(|farewell| match farewell {
            Farewell::Refused(reason) => Status::unknown(reason),
            Farewell::Invalid(reason) => Status::resource_exhausted(reason),
        })
    }
}

/// What we send to a server: frames, then nothing.
pub(super) struct Frames(pub(super) Outgoing);

impl Stream for Frames {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Pin::new(&mut self.0).poll_next(cx).map(|frame| frame?.ok())
    }
}

/// What a server sends us, from before it has accepted the stream.
pub(super) struct Responses {
    state: State,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Gives the connection up when dropped.
    _connection: oneshot::Sender<()>,
}

/// A stream that a server has not accepted yet.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Streaming<Bytes>, Status>> + Send>>;

#[expect(clippy::large_enum_variant, reason = "every stream comes to be open, and is boxed whole")]
enum State {
    Opening(Opening),
    Open(Streaming<Bytes>),
}

impl Responses {
    pub(super) fn new(
        opening: Opening,
        deadline: Option<Pin<Box<Sleep>>>,
        connection: oneshot::Sender<()>,
    ) -> Self {
        Self { state: State::Opening(opening), deadline, _connection: connection }
    }
}

impl Stream for Responses {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let error = StreamError::TimedOut("the stream's deadline passed".to_owned());
            return Poll::Ready(Some(Err(error)));
        }
        if let State::Opening(opening) = &mut self.state {
            match ready!(opening.as_mut().poll(cx)) {
                Ok(stream) => self.state = State::Open(stream),
                Err(status) => {
                    return Poll::Ready(Some(Err(stream_error(&status, StreamError::Refused))));
                }
            }
        }
        match &mut self.state {
            State::Opening(_) => Poll::Pending,
            State::Open(stream) => Pin::new(stream)
                .poll_next(cx)
                .map_err(|status| stream_error(&status, StreamError::Refused)),
        }
    }
}

/// Says why a stream ended; `without_cause` names a status that no error lies behind. Of those,
/// "out of range" is the codec's own verdict on a frame that is too large.
fn stream_error(status: &Status, without_cause: fn(String) -> StreamError) -> StreamError {
    let text = describe(status);
    let mut cause = status.source();
    if cause.is_none() {
        return match status.code() {
            Code::OutOfRange => StreamError::Invalid(text),
            _ => without_cause(text),
        };
    }
    while let Some(error) = cause {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout) {
            return StreamError::TimedOut(text);
        }
        if let Some(h2) = error.downcast_ref::<h2::Error>()
            && h2.is_reset()
            && h2.is_remote()
        {
            return StreamError::Refused(text);
        }
        cause = error.source();
    }
    StreamError::Broken(text)
}

/// Shows a status with its causes, on one line.
pub(super) fn describe(status: &Status) -> String {
    let mut text = match status.message() {
        "" => status.code().to_string(),
        message => message.to_owned(),
    };
    let mut cause = status.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = error.source();
    }
    text
}
