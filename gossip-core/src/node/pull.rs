//! Pulling: what the two uses of the engine have in common.

use alloc::{collections::BTreeSet, vec::Vec};
use core::mem;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, PullMsgType};

use crate::{
    Fault, PkiId,
    comm::{Frame, Lane},
    cx::Cx,
    pull::{self, Arrival, Engine},
};

use super::{ChannelIx, Effect, Node, TimerKey, inbound::Origin};

/// What is pulled.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Puller {
    Identities,
    Blocks(ChannelIx),
}

/// One of the four messages of a pull, without its nonce.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Hello,
    Digest(Vec<&'a [u8]>),
    Request(Vec<Bytes>),
    Update(Vec<Envelope>),
}

impl Node {
    pub(super) fn on_pull(
        &mut self,
        origin: Origin,
        channel: &[u8],
        msg_type: i32,
        nonce: u64,
        step: Step<'_>,
    ) -> Result<(), Fault> {
        let puller = match PullMsgType::try_from(msg_type) {
            Ok(PullMsgType::IdentityMsg) => Puller::Identities,
            Ok(PullMsgType::BlockMsg) => Puller::Blocks(self.admit_block_pull(&origin, channel)?),
            Ok(PullMsgType::Undefined) | Err(_) => return Err(Fault::IllegalTag),
        };
        let from = origin.from;
        match step {
            Step::Hello => {
                self.pull(puller, |engine, cx| engine.on_hello(from, nonce, cx))?;
                let visible = match puller {
                    Puller::Identities => self.visible_identities(&from),
                    Puller::Blocks(ix) => self.visible_blocks(ix),
                };
                self.pull(puller, |engine, cx| engine.reveal(origin.conn, nonce, &visible, cx));
                Ok(())
            }
            Step::Digest(ids) => {
                if !self.engine(puller).awaits_digest(&from, nonce) {
                    return Err(Fault::Stale);
                }
                let wanted = self.wanted(puller, &from, &ids);
                self.pull(puller, |engine, cx| engine.on_digest(&from, nonce, wanted, cx))
            }
            Step::Request(ids) => {
                if !self.engine(puller).honours(&from, nonce, self.clock.now) {
                    return Err(Fault::Stale);
                }
                let items = self.items(puller, &from, pull::distinct(&ids, &self.config.limits));
                self.pull(puller, |engine, cx| engine.serve(origin.conn, nonce, items, cx));
                Ok(())
            }
            Step::Update(items) => match puller {
                Puller::Identities => self.on_identity_update(origin, nonce, items),
                Puller::Blocks(ix) => self.on_block_update(origin, ix, nonce, items),
            },
        }
    }

    /// Checks that an update was asked for, before it is looked at (P-13).
    pub(super) fn check_update(
        &self,
        puller: Puller,
        from: &PkiId,
        nonce: u64,
    ) -> Result<(), Fault> {
        self.engine(puller).awaits_update(from, nonce).then_some(()).ok_or(Fault::Stale)
    }

    /// Takes the ids of what came; says whether it is late.
    pub(super) fn on_update(
        &mut self,
        puller: Puller,
        from: &PkiId,
        nonce: u64,
        ids: &[Bytes],
    ) -> bool {
        self.pull(puller, |engine, cx| engine.on_update(from, nonce, ids, cx)) == Arrival::Late
    }

    pub(super) fn on_pull_timer(&mut self, puller: Puller, timer: pull::Timer) {
        match (timer, puller) {
            (pull::Timer::Round, Puller::Identities) => self.begin_identity_round(),
            (pull::Timer::Round, Puller::Blocks(ix)) => self.begin_block_round(ix),
            (pull::Timer::Hurry | pull::Timer::Window, _) => {
                self.pull(puller, |engine, cx| engine.on_timer(timer, cx));
            }
        }
    }

    pub(super) fn on_pull_effect(&mut self, puller: Puller, effect: pull::Effect) {
        match effect {
            pull::Effect::Send { to, frame } => {
                let endpoint = match self.comm.is_connected(&to) {
                    true => None,
                    false => self.discovery.preferred_endpoint(&to),
                };
                let frame = Frame::new(frame);
                self.comm(|comm, cx| comm.send(to, endpoint, Lane::Control, frame, cx));
            }
            pull::Effect::Reply { conn, frame } => {
                let frame = Frame::new(frame);
                self.comm(|comm, cx| comm.respond(conn, Lane::Reply, frame, cx));
            }
            pull::Effect::SetTimer { timer, at } => {
                self.set_timer(TimerKey::Pull(puller, timer), at);
            }
        }
    }

    /// Lends the world to an engine, and queues its effects.
    pub(super) fn pull<R>(
        &mut self,
        puller: Puller,
        f: impl FnOnce(&mut Engine, &mut Cx<'_, pull::Effect>) -> R,
    ) -> R {
        let mut effects = mem::take(&mut self.scratch.pull);
        let mut cx = lend!(self, pull, effects);
        let engine = match puller {
            Puller::Identities => &mut self.identity_pull.engine,
            Puller::Blocks(ix) => &mut self.block_pulls[ix.0 as usize].engine,
        };
        let result = f(engine, &mut cx);
        self.queue.extend(effects.drain(..).map(|effect| Effect::Pull(puller, effect)));
        self.scratch.pull = effects;
        result
    }

    fn engine(&self, puller: Puller) -> &Engine {
        match puller {
            Puller::Identities => &self.identity_pull.engine,
            Puller::Blocks(ix) => &self.block_pulls[ix.0 as usize].engine,
        }
    }

    /// Collects what a peer asks for, as far as there is such a thing and it may have it (P-28).
    fn items(&self, puller: Puller, asker: &PkiId, ids: BTreeSet<Bytes>) -> Vec<Envelope> {
        let item = |id: Bytes| match puller {
            Puller::Identities => self.served_identity(asker, &id),
            Puller::Blocks(ix) => self.served_block(ix, &id),
        };
        ids.into_iter().filter_map(item).take(self.config.limits.pull_items_max).collect()
    }
}
