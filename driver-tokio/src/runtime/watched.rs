//! A node and who watches it: the recording of what it is told and does, if there is one.

use std::ops::Deref;

use gossip_core::{Action, Command, CommandError, Config, ConfigError, Event, Instant, Node};

use super::Publisher;
#[cfg(feature = "record")]
use crate::record::{Recorder, Recording};

/// Who watches a node from its start.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    pub(crate) publisher: Publisher,
    #[cfg(feature = "record")]
    pub(crate) recording: Option<Recording>,
}

/// A node of which everything is recorded that it is told and does. Views are free.
#[derive(Debug)]
pub(super) struct Watched {
    node: Node,
    #[cfg(feature = "record")]
    recorder: Option<Recorder>,
}

impl Watched {
    /// Makes a node.
    pub(super) fn new(
        config: Config,
        now: Instant,
        watchers: Watchers,
    ) -> Result<(Self, Publisher), ConfigError> {
        #[cfg(feature = "record")]
        let copy = watchers.recording.is_some().then(|| config.clone());
        let node = Node::new(config, now)?;
        #[cfg(feature = "record")]
        let recorder = watchers
            .recording
            .zip(copy)
            .and_then(|(recording, config)| recording.start(&config, now));
        let watched = Self {
            node,
            #[cfg(feature = "record")]
            recorder,
        };
        Ok((watched, watchers.publisher))
    }

    /// As [`Node::handle`].
    pub(super) fn handle(&mut self, now: Instant, event: Event) {
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            recorder.event(now, &event);
        }
        self.node.handle(now, event);
    }

    /// As [`Node::command`].
    pub(super) fn command(&mut self, now: Instant, command: Command) -> Result<(), CommandError> {
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            recorder.command(now, &command);
        }
        let result = self.node.command(now, command);
        #[cfg(feature = "record")]
        if let (Some(recorder), Err(error)) = (&mut self.recorder, &result) {
            recorder.refused(error);
        }
        result
    }

    /// As [`Node::poll_action`].
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        let action = self.node.poll_action();
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            match &action {
                Some(action) => recorder.action(action),
                None => recorder.no_more_actions(),
            }
        }
        action
    }

    /// Lets the node go; waits until all that was recorded is written.
    pub(super) async fn end(self) {
        #[cfg(feature = "record")]
        if let Some(recorder) = self.recorder {
            recorder.end().await;
        }
    }
}

impl Deref for Watched {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}
