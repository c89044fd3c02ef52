//! The channels of a peer: who may do what on them, and how far they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use gossip_core::{ChannelConfig, ChannelId, JobError, Ledger};
use gossip_msp::is_config_block;
use gossip_tokio::tls::TlsError;
use tokio::sync::mpsc;

use super::{channel::Channel, judges::Judges};

/// The channels of a peer. As a ledger it keeps no block, only how many there are; of a
/// configuration block it learns what holds from there on.
#[derive(Debug)]
pub(crate) struct Channels {
    judges: Arc<Judges>,
    states: Mutex<BTreeMap<ChannelId, State>>,
    changes: mpsc::UnboundedSender<Change>,
}

/// Another configuration holds from here on.
#[derive(Debug)]
pub(crate) struct Change {
    /// The channel.
    pub(crate) channel: ChannelId,
    /// How often it has changed.
    pub(crate) sequence: u64,
    /// Its members and their anchors, if they are others than before (SV-9, SV-10).
    pub(crate) membership: Option<ChannelConfig>,
}

#[derive(Debug)]
struct State {
    channel: Channel,
    height: u64,
}

impl Channels {
    /// Begins with channels as their configuration blocks describe them, which are the last blocks
    /// that the peer has. Returns what will change later, too.
    ///
    /// # Errors
    ///
    /// If the authorities for TLS cannot be used.
    pub(crate) fn new(
        judges: Arc<Judges>,
        channels: Vec<Channel>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Change>), TlsError> {
        judges.learn(&channels)?;
        let (changes, changed) = mpsc::unbounded_channel();
        let state = |channel: Channel| {
            let height = channel.number.saturating_add(1);
            (channel.id(), State { channel, height })
        };
        let states = Mutex::new(channels.into_iter().map(state).collect());
        Ok((Self { judges, states, changes }, changed))
    }

    /// Lists the channels with their members and their number of blocks.
    pub(crate) fn list(&self) -> Vec<(ChannelId, ChannelConfig, u64)> {
        let entry = |(id, state): (&ChannelId, &State)| {
            (id.clone(), state.channel.membership(), state.height)
        };
        self.lock().iter().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reconfigure(&self, states: &mut BTreeMap<ChannelId, State>, next: Channel) {
        let id = next.id();
        let sequence = next.config.sequence();
        let mut change = Change { channel: id.clone(), sequence, membership: None };
        if let Some(state) = states.get_mut(&id) {
            let is_same = next.config.has_same_members(&state.channel.config);
            change.membership = (!is_same).then(|| next.membership());
            state.channel = next;
        }
        let channels: Vec<_> = states.values().map(|state| state.channel.clone()).collect();
        // Before the node hears of it: whom it then asks about must be known (S4.c).
        if let Err(error) = self.judges.learn(&channels) {
            tracing::error!(
                "channel {id}: configuration {sequence}: TLS goes on as before: {error}"
            );
        }
        // Nobody listens when the peer is stopping.
        let _ = self.changes.send(change);
    }
}

impl Ledger for Channels {
    fn commit(&self, channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        let fault = |problem: String| JobError::failed(format!("block {number}: {problem}"));
        let mut states = self.lock();
        let Some(state) = states.get_mut(channel) else {
            return Err(fault(format!("channel {channel} was not joined")));
        };
        if number < state.height {
            return Ok(());
        }
        if number > state.height {
            return Err(fault(format!("is not the next, {}", state.height)));
        }
        let next = match is_config_block(block) {
            true => {
                let config = state.channel.config.update(block);
                let config = Arc::new(config.map_err(|error| fault(error.to_string()))?);
                Some(Channel { number, config })
            }
            false => None,
        };
        state.height = number.saturating_add(1);
        if let Some(next) = next {
            self.reconfigure(&mut states, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
