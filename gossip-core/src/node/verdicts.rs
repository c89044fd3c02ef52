//! What jobs answer. The world is looked up again before anything is done: it may have changed.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;

use crate::{
    Fault, Identity, IdentityFacts, JobId, Notice, Outcome, PkiId,
    channel::{BlockFate, Committed},
    emitter::{Block, Item, Sources},
    identity::Refusal,
    wire::{Alive, StateInfo},
};

use super::{
    ChannelIx, IdentityTimer, Node, TimerKey, Verified,
    block_pull::Batch,
    flights::{AliveRole, BlockRole, Claim, Flight, FlightKey, InfoRole, Waiter, What},
    jobs::Purpose,
};

impl Node {
    pub(super) fn on_job_done(&mut self, id: JobId, outcome: Outcome) {
        let Some(purpose) = self.jobs.end(id) else {
            return;
        };
        match purpose {
            Purpose::SignConn { key, payload } => {
                let signature = self.signature(outcome);
                self.comm(|comm, cx| comm.on_own_signed(key, payload, signature, cx));
            }
            Purpose::SignAlive { payload } => {
                let signature = self.signature(outcome);
                self.discovery(|discovery, cx| discovery.on_alive_signed(payload, signature, cx));
            }
            Purpose::SignSecret { payload } => {
                let signature = self.signature(outcome);
                self.discovery(|discovery, cx| discovery.on_secret_signed(payload, signature, cx));
            }
            Purpose::SignInfo { channel, payload } => {
                let signature = self.signature(outcome);
                self.channel(channel, |c, cx| c.on_own_signed(payload, signature, cx));
            }
            Purpose::SignLeadership { channel, stamp, payload } => {
                let signature = self.signature(outcome);
                self.on_leadership_signed(channel, stamp, payload, signature);
            }
            Purpose::SignIdentity { payload } => {
                let signature = self.signature(outcome);
                self.on_own_identity_signed(payload, signature);
            }
            Purpose::Handshake { pki_id, proof } => {
                let verdict = verdict(&outcome, Fault::BadSignature);
                let conns = self.flights.take_proof(&proof);
                if verdict.is_ok() && !self.identities.is_proven(&pki_id, &proof.0) {
                    self.stats.unique_messages += 1;
                    self.identities.prove(&pki_id, proof.0);
                }
                for conn in conns {
                    self.comm(|comm, cx| comm.on_signature(conn, verdict, cx));
                }
            }
            Purpose::Identity { identity } => self.on_identity_validated(&identity, outcome),
            Purpose::Suspect { pki_id } => {
                if matches!(outcome, Outcome::Rejected(_)) {
                    self.remove_identity(&pki_id);
                }
            }
            Purpose::Claim { key } => self.on_verdict(&key, &outcome),
            Purpose::Commit { channel, number } => self.on_committed(channel, number, outcome),
            Purpose::StateAccess { channel, request } => {
                self.on_state_access(channel, request, &outcome);
            }
            Purpose::ReadBlocks { channel, request } => {
                self.on_blocks_read(channel, request, outcome);
            }
        }
    }

    /// Gives up the jobs whose time is over.
    pub(super) fn on_job_timeout(&mut self) {
        self.jobs.disarm();
        while let Some((at, id)) = self.jobs.next_deadline() {
            if at > self.clock.now {
                self.jobs.arm();
                return self.set_timer(TimerKey::Jobs, at);
            }
            self.on_job_done(id, Outcome::Failed("no answer in time".into()));
        }
    }

    fn signature(&mut self, outcome: Outcome) -> Option<Bytes> {
        let reason = match outcome {
            Outcome::Signature(signature) if !signature.is_empty() => return Some(signature),
            Outcome::Failed(reason) | Outcome::Rejected(reason) => reason,
            Outcome::Signature(_)
            | Outcome::Accepted
            | Outcome::Identity(_)
            | Outcome::Blocks(_) => "the answer is no signature".into(),
        };
        self.notify(Notice::SigningFailed { reason });
        None
    }

    // Identities.

    fn on_identity_validated(&mut self, identity: &Identity, outcome: Outcome) {
        let found = match outcome {
            Outcome::Identity(facts) => self.store_identity(identity, facts),
            Outcome::Rejected(_) => Err(Fault::BadIdentity),
            Outcome::Failed(_) | Outcome::Accepted | Outcome::Signature(_) | Outcome::Blocks(_) => {
                Err(Fault::JobFailed)
            }
        };
        for waiter in self.flights.take_waiters(identity) {
            match waiter {
                Waiter::Conn(conn) => self.comm(|comm, cx| comm.on_identity(conn, found, cx)),
                Waiter::Claim(claim) => self.on_claim_identity(*claim, found),
            }
        }
    }

    fn on_claim_identity(&mut self, claim: Claim, found: Result<PkiId, Fault>) {
        let author = match &claim.what {
            What::Alive { alive, .. } => Some(alive.pki_id),
            What::Identity(message) => Some(message.pki_id),
            What::Info { .. } | What::Block { .. } | What::Leadership { .. } => None,
        };
        match found {
            Ok(pki_id) if Some(pki_id) == author => self.admit_element(claim),
            Ok(_) => self.on_claim_failed(&claim, Fault::BadIdentity),
            Err(fault) => self.on_claim_failed(&claim, fault),
        }
    }

    fn store_identity(
        &mut self,
        identity: &Identity,
        facts: IdentityFacts,
    ) -> Result<PkiId, Fault> {
        let (pki_id, org) = (facts.pki_id, facts.org.clone());
        let (now, wall) = (self.clock.now, self.clock.wall());
        match self.identities.insert(identity, facts, now, wall) {
            Ok(true) => {
                self.notify(Notice::IdentityLearned { pki_id, org });
                self.arm_identity_expiry();
                Ok(pki_id)
            }
            Ok(false) => Ok(pki_id),
            Err(Refusal::Expired) => Err(Fault::BadIdentity),
            Err(Refusal::Full) => Err(Fault::Overflow),
        }
    }

    /// Forgets an identity everywhere at once (11.4).
    pub(super) fn remove_identity(&mut self, pki_id: &PkiId) {
        if !self.identities.remove(pki_id) {
            return;
        }
        self.notify(Notice::IdentityRemoved { pki_id: *pki_id });
        self.discovery(|discovery, cx| discovery.on_identity_removed(pki_id, cx));
        let reason = crate::CloseReason::IdentityRemoved;
        self.comm(|comm, cx| comm.close_peer(pki_id, reason, cx));
        self.channels.iter_mut().for_each(|channel| channel.forget(pki_id));
        self.identity_pull.remove(pki_id);
    }

    pub(super) fn arm_identity_expiry(&mut self) {
        let Some(expiry) = self.identities.next_expiry() else {
            return;
        };
        // An identity holds to the end of its last second; Fabric adds a millisecond (C-37).
        let wait =
            expiry.saturating_since(self.clock.wall()) + core::time::Duration::from_millis(1);
        self.set_timer(TimerKey::Identity(IdentityTimer::Expiry), self.clock.now + wait);
    }

    pub(super) fn expire_identities(&mut self) {
        for pki_id in self.identities.expired(self.clock.wall()) {
            self.remove_identity(&pki_id);
        }
        self.arm_identity_expiry();
    }

    pub(super) fn arm_unused_identities(&mut self) {
        let at = self.clock.now + self.config.identity_usage_threshold / 10;
        self.set_timer(TimerKey::Identity(IdentityTimer::Unused), at);
    }

    /// Forgets the identities that nobody has used for long (C-38).
    pub(super) fn drop_unused_identities(&mut self) {
        let threshold = self.config.identity_usage_threshold;
        let age = core::time::Duration::from_nanos(self.clock.now.as_nanos());
        if let Some(since) = age.checked_sub(threshold) {
            let since = crate::Instant::ZERO + since;
            for pki_id in self.identities.unused_since(since) {
                // Who is still remembered is an anchor or bootstrap peer that has been silent for
                // long. Fabric forgets it here, and with it the way back to its organisation.
                if !self.discovery.knows(&pki_id) {
                    self.remove_identity(&pki_id);
                }
            }
        }
        self.comm.sweep(self.clock.now);
        self.arm_unused_identities();
    }

    // Claims.

    fn on_verdict(&mut self, key: &FlightKey, outcome: &Outcome) {
        let Some(Flight { leader, twins, mut rivals }) = self.flights.land(key) else {
            return;
        };
        let fault = match leader.what {
            What::Block { .. } => Fault::BadBlock,
            What::Alive { .. }
            | What::Info { .. }
            | What::Identity(_)
            | What::Leadership { .. } => Fault::BadSignature,
        };
        match verdict(outcome, fault) {
            Ok(()) => self.on_verified(leader, twins, &rivals),
            Err(fault) => {
                for twin in twins {
                    // Without a secret it may hold: another may have been attached to the leader.
                    match twin.is_copy_of(&leader) {
                        true => self.on_claim_failed(&twin, fault),
                        false => rivals.push(twin),
                    }
                }
                self.on_claim_failed(&leader, fault);
            }
        }
        for rival in rivals {
            let (conn, from) = (rival.conn, rival.from);
            let is_stale =
                matches!(rival.what, What::Block { .. }) && !self.is_block_wanted(&rival);
            let admitted = if is_stale { Err(Fault::Stale) } else { self.admit(rival) };
            if let Err(fault) = admitted {
                self.blame(conn, Some(from), fault);
            }
        }
    }

    /// Holds it against its sender that a claim does not hold.
    fn on_claim_failed(&mut self, claim: &Claim, fault: Fault) {
        if let Some(batch) = claim.batch().filter(|_| fault == Fault::BadBlock) {
            batch.spoil();
        }
        match &claim.what {
            What::Identity(message) => self.on_identity_failed(claim, message.pki_id, fault),
            What::Block { channel, role: BlockRole::Transferred, .. } => {
                self.blame(claim.conn, Some(claim.from), fault);
                self.on_transfer_failed(*channel, claim.from);
            }
            What::Alive { .. }
            | What::Info { .. }
            | What::Block { .. }
            | What::Leadership { .. } => {
                self.blame(claim.conn, Some(claim.from), fault);
            }
        }
    }

    /// Acts on a claim that holds, and on those that hold with it.
    fn on_verified(&mut self, leader: Claim, twins: Vec<Claim>, rivals: &[Claim]) {
        let mut sources = Sources::new();
        // Who brought the same with a secret more has it, too.
        let others = rivals.iter().filter(|rival| leader.is_settled_by(rival));
        for claim in core::iter::once(&leader).chain(&twins).chain(others) {
            if is_pushed(claim) && !sources.contains(&claim.from) {
                sources.push(claim.from);
            }
        }
        if let What::Block { .. } = leader.what {
            return self.on_block_verified(core::iter::once(leader).chain(twins), &sources);
        }
        // Its author's identity may have gone while the signature was checked.
        if leader.author().is_some_and(|author| self.identities.get(&author).is_none()) {
            return self.stats.count(Fault::UnknownIdentity);
        }
        self.on_statement_verified(leader.what, &sources);
        for twin in twins {
            self.on_statement_verified(twin.what, &sources);
        }
    }

    fn on_statement_verified(&mut self, what: What, sources: &Sources) {
        match what {
            What::Alive { alive, role } => {
                self.on_alive_verified(Verified::attest(alive), role, sources.clone());
            }
            What::Info { info, role, channel } => {
                self.on_info_verified(info, role, channel, sources);
            }
            What::Identity(message) => self.on_identity_verified(Verified::attest(message)),
            What::Leadership { channel, leadership } => {
                self.on_leadership_verified(channel, &Verified::attest(leadership));
            }
            What::Block { .. } => {}
        }
    }

    pub(super) fn on_alive_verified(
        &mut self,
        alive: Verified<Arc<Alive>>,
        role: AliveRole,
        sources: Sources,
    ) {
        if alive.pki_id == self.config.pki_id {
            return self.on_own_words(&alive);
        }
        self.stats.unique_messages += self.news(&alive);
        // What another organisation keeps to itself is not for us, however it got out.
        let alive = match self.is_own_org(&alive.pki_id) {
            true => alive,
            false => Verified::attest(Alive::without_secret(alive.into_inner())),
        };
        self.discovery(|discovery, cx| match role {
            AliveRole::Pushed => discovery.on_alive(alive, sources, cx),
            AliveRole::Request { nonce } => discovery.on_membership_request(alive, nonce, cx),
            AliveRole::ResponseAlive => discovery.on_response_alive(alive, cx),
            AliveRole::ResponseDead => discovery.on_response_dead(alive, cx),
        });
    }

    /// Outdoes what we said in an earlier run: from here on nothing that we say is old news.
    fn on_own_words(&mut self, heard: &Verified<Arc<Alive>>) {
        self.stats.unique_messages += 1;
        self.discovery(|discovery, cx| discovery.on_outdone(heard, cx));
        let (_, stamp) = self.discovery.own_statement();
        for ix in self.channel_ixs() {
            self.channel(ix, |channel, cx| channel.take_incarnation(stamp.incarnation, cx));
        }
    }

    /// Counts the signed parts of a verified alive message that are not those we know its peer by.
    fn news(&mut self, alive: &Alive) -> u64 {
        let mut news = u64::from(!self.discovery.is_known_statement(alive));
        if let Some(secret) = &alive.envelope.secret_envelope
            && !self.identities.knows_secret_of(alive)
        {
            self.identities.note_secret(&alive.pki_id, secret);
            news += 1;
        }
        news
    }

    fn on_info_verified(
        &mut self,
        info: Arc<StateInfo>,
        role: InfoRole,
        channel: Option<ChannelIx>,
        sources: &Sources,
    ) {
        let Some(ix) = channel else {
            if self.foreign.insert(info.mac, info.stamp, self.clock.now) {
                self.stats.unique_messages += 1;
                self.forward(Item::StateInfo(info), sources.clone());
            }
            return;
        };
        if info.pki_id == self.config.pki_id {
            self.stats.unique_messages += 1;
            let heard = Verified::attest(info);
            return self.channel(ix, |channel, cx| channel.on_outdone(&heard, cx));
        }
        let known = self.channels[ix.0 as usize].info(&info.pki_id);
        let is_news =
            known.is_none_or(|known| known.stamp != info.stamp || known.envelope != info.envelope);
        self.stats.unique_messages += u64::from(is_news);
        let info = Verified::attest(info);
        let stored = self.channel(ix, |channel, cx| channel.on_state_info(info, cx));
        if let Some(info) = stored {
            self.on_height_of(ix, info.height);
            if role == InfoRole::Pushed {
                self.forward(Item::StateInfo(info), sources.clone());
            }
        }
    }

    /// Takes a block that holds, from the best of those who sent it: a block that was pushed is
    /// passed on, one that came late is not even served.
    fn on_block_verified(&mut self, claims: impl Iterator<Item = Claim>, sources: &Sources) {
        let is_spoiled = |claim: &Claim| claim.batch().is_some_and(Batch::is_spoiled);
        let best = claims.filter(|claim| !is_spoiled(claim)).min_by_key(|claim| match claim.what {
            What::Block { role: BlockRole::Transferred, .. } => 3,
            What::Block { role: BlockRole::Late(_), .. } => 2,
            What::Block { role: BlockRole::Pulled(_), .. } => 1,
            _ => 0,
        });
        let Some(Claim {
            from, what: What::Block { channel: ix, number, block, frame, role }, ..
        }) = best
        else {
            return;
        };
        let body = block.clone();
        let is_served = !matches!(role, BlockRole::Late(_) | BlockRole::Transferred);
        let copy = is_served.then(|| frame.clone());
        let fate = self.channel(ix, |channel, cx| channel.on_block(number, body, copy, cx));
        if fate == BlockFate::Stale {
            return self.stats.count(Fault::Stale);
        }
        let is_pushed = matches!(role, BlockRole::Pushed);
        let is_transferred = matches!(role, BlockRole::Transferred);
        self.stats.blocks_received += 1;
        self.stats.blocks_pulled += u64::from(!is_pushed);
        self.stats.unique_messages += 1;
        let channel = self.channels[ix.0 as usize].id().clone();
        if is_transferred {
            self.stats.blocks_transferred += 1;
        } else {
            // Late and pulled ones too: those below us in the block's tree wait for it.
            let sources = if is_pushed { sources.clone() } else { Sources::from_slice(&[from]) };
            let (channel, is_pulled) = (channel.clone(), !is_pushed);
            let item = Block { channel, number, frame, is_pulled };
            self.forward(Item::Block(item.into()), sources);
            self.on_block_from(ix, from);
        }
        self.notify(Notice::BlockReceived { channel, number, block, from });
        self.on_transfer_progress(ix);
    }

    pub(super) fn forward(&mut self, item: Item, sources: Sources) {
        self.stats.forwarded += 1;
        self.emitter.add(item, sources);
    }

    fn on_committed(&mut self, channel: ChannelIx, number: u64, outcome: Outcome) {
        let committed = match outcome {
            Outcome::Accepted => Committed::Done,
            Outcome::Rejected(reason) => Committed::Rejected(reason),
            Outcome::Failed(reason) => Committed::Failed(reason),
            Outcome::Signature(_) | Outcome::Identity(_) | Outcome::Blocks(_) => {
                Committed::Failed("the answer is no answer to a commit".into())
            }
        };
        self.channel(channel, |channel, cx| channel.on_committed(number, committed, cx));
        self.on_commit(channel);
    }
}

fn verdict(outcome: &Outcome, fault: Fault) -> Result<(), Fault> {
    match outcome {
        Outcome::Accepted => Ok(()),
        Outcome::Rejected(_) => Err(fault),
        Outcome::Failed(_) | Outcome::Signature(_) | Outcome::Identity(_) | Outcome::Blocks(_) => {
            Err(Fault::JobFailed)
        }
    }
}

const fn is_pushed(claim: &Claim) -> bool {
    match &claim.what {
        What::Alive { role, .. } => matches!(role, AliveRole::Pushed),
        What::Info { role, .. } => matches!(role, InfoRole::Pushed),
        What::Block { role, .. } => matches!(role, BlockRole::Pushed),
        What::Identity(_) | What::Leadership { .. } => false,
    }
}
