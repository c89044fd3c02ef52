//! What waits to be sent to one peer.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::{Limits, PkiId};

/// Which queue a frame goes into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lane {
    /// Handshakes, membership, acknowledgements: before everything else, never dropped.
    Control,
    /// Answers to what the peer asked for.
    Reply,
    /// News: the oldest may be dropped, and newer news replaces older.
    Gossip,
}

/// What a frame is about: of two that wait, only the newer is worth sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Topic {
    /// A peer's life.
    Alive(PkiId),
    /// What the author of this MAC says about itself on a channel.
    StateInfo([u8; 32]),
}

/// A serialized envelope on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) topic: Option<Topic>,
}

impl Frame {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self { bytes, topic: None }
    }

    pub(crate) const fn about(topic: Topic, bytes: Bytes) -> Self {
        Self { bytes, topic: Some(topic) }
    }
}

/// What became of a frame that was put into a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and so many others do not any more.
    Displaced(u64),
    /// It does not: the peer does not read its answers.
    Dropped,
    /// It does not, and must not be missed: the connection is of no use.
    Overflow,
}

/// The three queues of one peer, each bounded by [`Limits`].
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    control: Queue,
    reply: Queue,
    gossip: Queue,
    /// Whether a reply went out since the last gossip, while both waited.
    replied: bool,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Lanes {
    pub(crate) fn push(&mut self, lane: Lane, frame: Frame, limits: &Limits) -> Pushed {
        match lane {
            Lane::Control => {
                let full = self.control.frames.len() >= limits.control_frames_max
                    || self.control.bytes >= limits.control_bytes_max;
                if full {
                    return Pushed::Overflow;
                }
                self.control.push(frame);
                Pushed::Queued
            }
            Lane::Reply => {
                let full = self.reply.frames.len() >= limits.reply_frames_max
                    || self.reply.bytes >= limits.reply_bytes_max;
                if full {
                    return Pushed::Dropped;
                }
                self.reply.push(frame);
                Pushed::Queued
            }
            Lane::Gossip => self.push_gossip(frame, limits),
        }
    }

    fn push_gossip(&mut self, frame: Frame, limits: &Limits) -> Pushed {
        let mut displaced = u64::from(self.gossip.replace(&frame));
        if displaced == 0 {
            self.gossip.push(frame);
        }
        while self.gossip.frames.len() > limits.gossip_frames_max
            || (self.gossip.bytes > limits.gossip_bytes_max && self.gossip.frames.len() > 1)
        {
            self.gossip.pop();
            displaced += 1;
        }
        if displaced == 0 { Pushed::Queued } else { Pushed::Displaced(displaced) }
    }

    /// Takes the next frame: control first, then replies and gossip in turn.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.control.pop() {
            return Some(frame);
        }
        let gossip_first = self.replied && !self.gossip.frames.is_empty();
        self.replied = !gossip_first && !self.reply.frames.is_empty();
        if gossip_first {
            self.gossip.pop()
        } else {
            self.reply.pop().or_else(|| self.gossip.pop())
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        [&self.control, &self.reply, &self.gossip].iter().all(|queue| queue.frames.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.control.frames.len() + self.reply.frames.len() + self.gossip.frames.len()
    }

    /// Counts the frames in each lane, and their bytes but for those of the last: control, reply,
    /// gossip.
    pub(crate) fn sizes(&self) -> [(usize, usize); 3] {
        [&self.control, &self.reply, &self.gossip].map(|Queue { frames, bytes }| {
            (frames.len(), bytes - frames.back().map_or(0, |last| last.bytes.len()))
        })
    }

    /// Moves everything that waits in `other` behind what waits here, as far as it fits.
    pub(crate) fn append(&mut self, other: Self, limits: &Limits) {
        let lanes = [
            (Lane::Control, other.control),
            (Lane::Reply, other.reply),
            (Lane::Gossip, other.gossip),
        ];
        for (lane, queue) in lanes {
            for frame in queue.frames {
                self.push(lane, frame, limits);
            }
        }
    }
}

impl Queue {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes.len();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.bytes.len();
        // A peer that nothing waits for costs nothing: what can be written at once never waits.
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
        Some(frame.bytes)
    }

    /// Puts a frame in the place of an older one on the same topic; false if there is none.
    fn replace(&mut self, frame: &Frame) -> bool {
        let Some(topic) = frame.topic else {
            return false;
        };
        let older = self.frames.iter_mut().find(|older| older.topic == Some(topic));
        let Some(older) = older else { return false };
        self.bytes = self.bytes - older.bytes.len() + frame.bytes.len();
        older.bytes = frame.bytes.clone();
        true
    }
}
