//! The channels of a peer: who may do what on them, and how far they are.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use gossip_core::{ChannelConfig, ChannelId, JobError, Ledger};
use gossip_msp::is_config_block;
use gossip_tokio::tls::TlsError;
use tokio::sync::mpsc;

use super::{channel::Channel, judges::Judges};
use crate::ledger::{Problem, StoreError, Writer, is_same_block};

/// The channels of a peer, each with a ledger of its own. Of a configuration block they learn what
/// holds from there on.
#[derive(Debug)]
pub(crate) struct Channels {
    judges: Arc<Judges>,
    states: Mutex<BTreeMap<ChannelId, Joined>>,
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

/// A channel with its ledger, whose last configuration the channel has.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) channel: Channel,
    pub(crate) ledger: Writer,
}

impl Channels {
    /// Begins with channels as their ledgers have them. Returns what will change later, too.
    ///
    /// # Errors
    ///
    /// If the authorities for TLS cannot be used.
    pub(crate) fn new(
        judges: Arc<Judges>,
        joined: Vec<Joined>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Change>), TlsError> {
        let channels: Vec<_> = joined.iter().map(|joined| joined.channel.clone()).collect();
        judges.learn(&channels)?;
        let (changes, changed) = mpsc::unbounded_channel();
        let states = joined.into_iter().map(|joined| (joined.channel.id(), joined));
        let states = Mutex::new(states.collect());
        Ok((Self { judges, states, changes }, changed))
    }

    /// Lists the channels with their members and their number of blocks.
    pub(crate) fn list(&self) -> Vec<(ChannelId, ChannelConfig, u64)> {
        let entry = |(id, state): (&ChannelId, &Joined)| {
            (id.clone(), state.channel.membership(), state.ledger.height())
        };
        self.lock().iter().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Joined>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a ledger anew after a failure. What was said to have failed may be there all the same,
    /// also a configuration block.
    fn recover(
        &self,
        states: &mut BTreeMap<ChannelId, Joined>,
        id: &ChannelId,
    ) -> Result<(), StoreError> {
        let Some(Joined { channel, ledger }) = states.get_mut(id) else {
            return Ok(());
        };
        ledger.recover()?;
        let number = ledger.config_block();
        if number != channel.number {
            let config = Arc::new(ledger.config()?);
            self.reconfigure(states, Channel { number, config });
        }
        Ok(())
    }

    fn reconfigure(&self, states: &mut BTreeMap<ChannelId, Joined>, next: Channel) {
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
        let fault = |problem: &dyn Display| JobError::failed(format!("block {number}: {problem}"));
        let mut states = self.lock();
        self.recover(&mut states, channel).map_err(|error| fault(&error))?;
        let Some(Joined { channel: state, ledger }) = states.get_mut(channel) else {
            return Err(fault(&format!("channel {channel} was not joined")));
        };
        let height = ledger.height();
        if number < height {
            return again(ledger, number, block);
        }
        if number > height {
            return Err(fault(&format!("is not the next, {height}")));
        }
        let next = match is_config_block(block) {
            true => {
                let config = Arc::new(state.config.update(block).map_err(|error| fault(&error))?);
                Some(Channel { number, config })
            }
            false => None,
        };
        ledger.append(std::slice::from_ref(block)).map_err(|error| match error.problem {
            Problem::Unfit(_) => JobError::rejected(error.to_string()),
            _ => fault(&error),
        })?;
        if let Some(next) = next {
            self.reconfigure(&mut states, next);
        }
        Ok(())
    }

    fn read_blocks(
        &self,
        channel: &ChannelId,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        let mut states = self.lock();
        let Some(Joined { ledger, .. }) = states.get_mut(channel) else {
            return Err(JobError::failed(format!("channel {channel} was not joined")));
        };
        let (mut blocks, mut bytes) = (Vec::new(), 0_usize);
        for number in first.max(ledger.first())..ledger.height().min(last.saturating_add(1)) {
            let block = ledger.get(number).map_err(|error| JobError::failed(error.to_string()))?;
            bytes = bytes.saturating_add(block.len());
            blocks.push((number, block));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(blocks)
    }
}

/// Takes a block that is there, if it is that block.
fn again(ledger: &mut Writer, number: u64, block: &Bytes) -> Result<(), JobError> {
    if number < ledger.first() {
        return Ok(());
    }
    let known = ledger.get(number).map_err(|error| JobError::failed(error.to_string()))?;
    match is_same_block(&known, block) {
        true => Ok(()),
        false => Err(JobError::rejected(format!("another block {number} is in the ledger"))),
    }
}

#[cfg(test)]
mod tests;
