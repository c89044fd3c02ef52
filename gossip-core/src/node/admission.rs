//! The admission of claims, cheap checks before dear ones: would it be accepted, is the signer
//! known, is the same being checked already; only then a job.

use alloc::boxed::Box;

use bytes::Bytes;

use crate::{
    Fault, Identity, Instant, JobKind,
    channel::{BlockFate, Channel},
    discovery::Discovery,
    identity::Identities,
    wire::{self, Alive, StateInfo},
};

use super::{
    Node, Verified,
    flights::{AliveRole, Boarding, Claim, InfoRole, Waiter, What},
    identity_pull::IdentityMessage,
    jobs::Purpose,
};

impl Node {
    /// Sends a claim on its way to a verdict.
    ///
    /// # Errors
    ///
    /// If it is not worth a check.
    pub(super) fn admit(&mut self, claim: Claim) -> Result<(), Fault> {
        match &claim.what {
            What::Alive { alive, role } => {
                if self.is_answered(alive, *role) {
                    return self.skip_verification(claim);
                }
                self.check_alive(alive, *role)?;
                if self.identities.get(&alive.pki_id).is_none() {
                    let identity = alive.identity.as_ref().ok_or(Fault::UnknownIdentity)?;
                    let identity = Identity::new(Bytes::copy_from_slice(identity.as_bytes()));
                    return self.await_identity(&identity, Waiter::Claim(Box::new(claim)));
                }
            }
            What::Info { info, role, channel } => {
                wire::check_signed(&info.envelope)?;
                match channel {
                    Some(ix) => self.check_info(info, &self.channels[ix.0 as usize])?,
                    None => self.check_foreign_info(info, *role)?,
                }
            }
            What::Block { .. } => {}
            What::Leadership { channel, leadership } => {
                self.check_leadership(*channel, leadership)?;
            }
            What::Identity(message) if self.has_identity_message(&message.pki_id) => {
                return Err(Fault::Stale);
            }
            What::Identity(message) => match self.identities.get(&message.pki_id) {
                Some(known) if *known == message.identity => {}
                Some(_) => return Err(Fault::BadIdentity),
                None => {
                    let identity = message.identity.clone();
                    return self.await_identity(&identity, Waiter::Claim(Box::new(claim)));
                }
            },
        }
        let key = claim.key();
        let judge = Judge {
            now: self.clock.now,
            channels: &self.channels,
            discovery: &self.discovery,
            identities: &mut self.identities,
        };
        let kind = match self.flights.board(key, claim, &self.config.limits) {
            Boarding::Lead(claim) => judge.verification(claim),
            Boarding::Joined => None,
            Boarding::Full => return Err(Fault::Overflow),
        };
        if let Some(kind) = kind {
            self.begin_job(kind, Purpose::Claim { key });
        }
        Ok(())
    }

    /// Checks what needs no signature; freshness comes first (D-9).
    fn check_alive(&mut self, alive: &Alive, role: AliveRole) -> Result<(), Fault> {
        let is_news = match role {
            AliveRole::Pushed => self.discovery.would_accept_pushed(alive),
            // It is answered even if it is old (D-25).
            AliveRole::Request { .. } => true,
            AliveRole::ResponseAlive => self.discovery.would_accept_element(alive, false),
            AliveRole::ResponseDead => self.discovery.would_accept_element(alive, true),
        };
        let is_ours = alive.pki_id == self.config.pki_id;
        if is_ours {
            self.discovery(|discovery, cx| discovery.on_own_alive(alive, cx));
        }
        let outdoes = is_ours && self.discovery(|discovery, cx| discovery.is_outdone_by(alive, cx));
        if !is_news && !outdoes {
            return Err(Fault::Stale);
        }
        let bytes_max = self.config.limits.identity_bytes_max;
        if alive.identity.as_ref().is_some_and(|identity| identity.as_bytes().len() > bytes_max) {
            return Err(Fault::BadIdentity);
        }
        wire::check_signed(&alive.envelope)
    }

    fn check_info(&self, info: &StateInfo, channel: &Channel) -> Result<(), Fault> {
        let is_news = match info.pki_id == self.config.pki_id {
            true => channel.is_outdone_by(info.stamp, self.clock.now, &self.config),
            false => channel.would_accept_info(info),
        };
        if !is_news {
            return Err(Fault::Stale);
        }
        // A StateInfo before its author's identity is lost; it is asked for again (CH-2).
        let org = self.identities.org(&info.pki_id).ok_or(Fault::UnknownIdentity)?;
        channel.has_org(org).then_some(()).ok_or(Fault::WrongOrg)
    }

    fn check_foreign_info(&self, info: &StateInfo, role: InfoRole) -> Result<(), Fault> {
        if role != InfoRole::Pushed {
            return Err(Fault::WrongChannel);
        }
        if !self.foreign.would_accept(&info.mac, info.stamp, self.clock.now) {
            return Err(Fault::Stale);
        }
        self.identities.org(&info.pki_id).map(|_| ()).ok_or(Fault::UnknownIdentity)
    }

    /// Takes a statement whose very bytes were verified before.
    fn skip_verification(&mut self, claim: Claim) -> Result<(), Fault> {
        let What::Alive { alive, role } = claim.what else {
            return Ok(());
        };
        self.on_alive_verified(
            Verified::attest(alive),
            role,
            core::iter::once(claim.from).collect(),
        );
        Ok(())
    }

    /// Lets somebody wait until an identity is validated and stored.
    pub(super) fn await_identity(
        &mut self,
        identity: &Identity,
        waiter: Waiter,
    ) -> Result<(), Fault> {
        match self.flights.await_identity(identity, waiter, &self.config.limits) {
            Boarding::Lead(()) => {
                let kind = JobKind::ValidateIdentity { identity: identity.clone() };
                self.begin_job(kind, Purpose::Identity { identity: identity.clone() });
            }
            Boarding::Joined => {}
            Boarding::Full => return Err(Fault::Overflow),
        }
        Ok(())
    }

    /// Says whether the verdict on an alive message is known: all that is signed in it was verified
    /// before.
    ///
    /// Then a repeated request is answered and a message that came in a response is passed on when
    /// it is pushed, without a second check.
    fn is_answered(&self, alive: &Alive, role: AliveRole) -> bool {
        let is_wanted = || match role {
            AliveRole::Pushed => self.discovery.would_accept_pushed(alive),
            AliveRole::Request { .. } => true,
            AliveRole::ResponseAlive | AliveRole::ResponseDead => false,
        };
        self.discovery.is_known_statement(alive)
            && is_wanted()
            && self.identities.knows_secret_of(alive)
    }

    /// Says whether a block is still worth having.
    pub(super) fn is_block_wanted(&self, claim: &Claim) -> bool {
        match claim.what {
            What::Block { channel, number, .. } => {
                self.channels[channel.0 as usize].fate(number) != BlockFate::Stale
            }
            What::Alive { .. }
            | What::Info { .. }
            | What::Identity(_)
            | What::Leadership { .. } => false,
        }
    }
}

/// What it takes to say what is to be verified of a claim.
struct Judge<'a> {
    now: Instant,
    channels: &'a [Channel],
    discovery: &'a Discovery,
    identities: &'a mut Identities,
}

impl Judge<'_> {
    /// Makes the job that decides over a claim.
    fn verification(self, claim: &Claim) -> Option<JobKind> {
        match &claim.what {
            What::Alive { alive, .. } => {
                let (message, secret) = wire::claims(&alive.envelope).ok()?;
                // A secret that its owner has not changed was checked with another message.
                let secret = secret.filter(|_| !self.identities.knows_secret_of(alive));
                // The message came before, through another organisation: the secret is new.
                let (message, secret) = match secret {
                    Some(secret) if self.discovery.is_known_statement(alive) => (secret, None),
                    secret => (message, secret),
                };
                let identity = self.identities.use_of(&alive.pki_id, self.now)?.clone();
                Some(JobKind::Verify { identity, message, secret })
            }
            What::Info { info, channel, .. } => {
                let (message, secret) = wire::claims(&info.envelope).ok()?;
                let identity = self.identities.use_of(&info.pki_id, self.now)?.clone();
                Some(match channel {
                    None => JobKind::Verify { identity, message, secret },
                    Some(ix) => {
                        let channel = self.channels[ix.0 as usize].id().clone();
                        JobKind::CheckAccess { channel, identity, message, secret }
                    }
                })
            }
            What::Block { channel, number, block, .. } => Some(JobKind::VerifyBlock {
                channel: self.channels[channel.0 as usize].id().clone(),
                number: *number,
                block: block.clone(),
            }),
            What::Leadership { leadership, .. } => {
                let (message, secret) = wire::claims(&leadership.envelope).ok()?;
                let identity = self.identities.use_of(&leadership.pki_id, self.now)?.clone();
                Some(JobKind::Verify { identity, message, secret })
            }
            What::Identity(message) => {
                let IdentityMessage { identity, envelope, .. } = &**message;
                let (message, secret) = wire::claims(envelope).ok()?;
                Some(JobKind::Verify { identity: identity.clone(), message, secret })
            }
        }
    }
}
