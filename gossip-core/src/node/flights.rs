//! Single-flight verification: each statement is checked once, however many copies arrive.
//!
//! Copies are told apart by their bytes, never by what they claim to be: a forged copy waits for
//! the honest one, or the honest one for it, but neither takes the other down.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::hash::{Hash, Hasher};

use bytes::Bytes;
use hashbrown::{HashMap, hash_map::Entry};

use crate::{
    ConnId, Identity, Limits, PkiId, Signed, Stamp,
    table::Tables,
    wire::{Alive, Leadership, StateInfo},
};

use super::{ChannelIx, block_pull::Batch, identity_pull::IdentityMessage};

/// Something that a peer sent and that is believed only once a job says so.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) conn: ConnId,
    pub(super) from: PkiId,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Alive { alive: Arc<Alive>, role: AliveRole },
    Info { info: Arc<StateInfo>, role: InfoRole, channel: Option<ChannelIx> },
    Block { channel: ChannelIx, number: u64, block: Bytes, frame: Bytes, role: BlockRole },
    Identity(Box<IdentityMessage>),
    Leadership { channel: ChannelIx, leadership: Box<Leadership> },
}

/// How an alive message came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AliveRole {
    /// By itself.
    Pushed,
    /// In a membership request with this nonce.
    Request { nonce: u64 },
    /// In a membership response, as alive.
    ResponseAlive,
    /// In a membership response, as dead.
    ResponseDead,
}

/// How a StateInfo came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InfoRole {
    /// By itself.
    Pushed,
    /// In a snapshot.
    Element,
}

/// How a block came.
#[derive(Clone, Debug)]
pub(super) enum BlockRole {
    /// By itself.
    Pushed,
    /// In an update that we asked for.
    Pulled(Batch),
    /// In one that came late: it is not served to others (P-14).
    Late(Batch),
    /// In a range that we asked for: it is neither served to be pulled nor passed on.
    Transferred,
}

/// What a claim is about: of two with the same key, one makes the other superfluous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FlightKey {
    Alive(PkiId, Stamp),
    Info([u8; 32], Stamp),
    Block(ChannelIx, u64),
    Identity(PkiId),
    Leadership(ChannelIx, PkiId, Stamp),
}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let stamped = |state: &mut H, stamp: &Stamp| {
            state.write_u64(stamp.incarnation);
            state.write_u64(stamp.sequence);
        };
        match self {
            Self::Alive(pki_id, stamp) | Self::Leadership(_, pki_id, stamp) => {
                pki_id.hash(state);
                stamped(state, stamp);
            }
            Self::Info(mac, stamp) => {
                // It is a hash itself, as a PKI-ID is.
                PkiId::new(*mac).hash(state);
                stamped(state, stamp);
            }
            Self::Block(_, number) => state.write_u64(*number),
            Self::Identity(pki_id) => pki_id.hash(state),
        }
    }
}

impl Claim {
    pub(super) fn key(&self) -> FlightKey {
        match &self.what {
            What::Alive { alive, .. } => FlightKey::Alive(alive.pki_id, alive.stamp),
            What::Info { info, .. } => FlightKey::Info(info.mac, info.stamp),
            What::Block { channel, number, .. } => FlightKey::Block(*channel, *number),
            What::Identity(message) => FlightKey::Identity(message.pki_id),
            What::Leadership { channel, leadership } => {
                FlightKey::Leadership(*channel, leadership.pki_id, leadership.stamp)
            }
        }
    }

    /// Returns who must have signed it; `None` for a block, which the orderers sign.
    pub(super) fn author(&self) -> Option<PkiId> {
        match &self.what {
            What::Alive { alive, .. } => Some(alive.pki_id),
            What::Info { info, .. } => Some(info.pki_id),
            What::Identity(message) => Some(message.pki_id),
            What::Leadership { leadership, .. } => Some(leadership.pki_id),
            What::Block { .. } => None,
        }
    }

    /// Returns the update that a block came in.
    pub(super) const fn batch(&self) -> Option<&Batch> {
        match &self.what {
            What::Block { role: BlockRole::Pulled(batch) | BlockRole::Late(batch), .. } => {
                Some(batch)
            }
            What::Block { .. }
            | What::Alive { .. }
            | What::Info { .. }
            | What::Identity(_)
            | What::Leadership { .. } => None,
        }
    }

    /// Says whether this holds if the other does: all that is signed here is signed there.
    ///
    /// An alive message without its secret is the same statement as one with it.
    pub(super) fn is_settled_by(&self, leader: &Self) -> bool {
        match (&self.what, &leader.what) {
            (What::Alive { alive, .. }, What::Alive { alive: other, .. }) => {
                let secret = &alive.envelope.secret_envelope;
                alive.is_same_statement(other)
                    && (secret.is_none() || *secret == other.envelope.secret_envelope)
            }
            (What::Info { info, channel, .. }, What::Info { info: other, channel: theirs, .. }) => {
                info.envelope == other.envelope && channel == theirs
            }
            (What::Block { block, .. }, What::Block { block: other, .. }) => block == other,
            (What::Identity(message), What::Identity(other)) => message.envelope == other.envelope,
            (What::Leadership { leadership, .. }, What::Leadership { leadership: other, .. }) => {
                leadership.envelope == other.envelope
            }
            _ => false,
        }
    }

    /// Says whether both are the same, byte for byte: if one does not hold, nor does the other.
    pub(super) fn is_copy_of(&self, leader: &Self) -> bool {
        match (&self.what, &leader.what) {
            (What::Alive { alive, .. }, What::Alive { alive: other, .. }) => {
                alive.envelope == other.envelope
            }
            _ => self.is_settled_by(leader),
        }
    }

    fn bytes(&self) -> usize {
        match &self.what {
            What::Alive { alive, .. } => alive.envelope.payload.len(),
            What::Info { info, .. } => info.envelope.payload.len(),
            What::Block { block, .. } => block.len(),
            What::Identity(message) => message.envelope.payload.len(),
            What::Leadership { leadership, .. } => leadership.envelope.payload.len(),
        }
    }
}

/// Claims that wait for one verdict.
#[derive(Debug)]
pub(super) struct Flight {
    /// The one that is being checked.
    pub(super) leader: Claim,
    /// Those with the same bytes.
    pub(super) twins: Vec<Claim>,
    /// Those with other bytes: the first is checked if the leader fails.
    pub(super) rivals: Vec<Claim>,
}

/// A connection message, with its secret if it has one.
pub(super) type Proof = (Signed, Option<Signed>);

/// Who waits for an identity to be validated.
#[derive(Debug)]
pub(super) enum Waiter {
    Conn(ConnId),
    Claim(Box<Claim>),
}

/// What became of a claim that asks to be checked.
#[derive(Debug)]
pub(super) enum Boarding<L = ()> {
    /// It is to be checked now.
    Lead(L),
    /// It waits for another.
    Joined,
    /// There is no room.
    Full,
}

/// All that waits for a verdict, within [`Limits`].
#[derive(Debug, Default)]
pub(super) struct Flights {
    flights: HashMap<FlightKey, Flight>,
    identities: HashMap<Identity, Vec<Waiter>>,
    /// Connections by the connection message that is being verified for them.
    proofs: HashMap<Proof, Vec<ConnId>>,
    held: Held,
}

/// How much waits.
#[derive(Debug, Default)]
struct Held {
    of_connection: HashMap<ConnId, usize>,
    claims: usize,
    bytes: usize,
}

impl Flights {
    /// Lets a claim wait for its verdict.
    pub(super) fn board(
        &mut self,
        key: FlightKey,
        claim: Claim,
        limits: &Limits,
    ) -> Boarding<&Claim> {
        match self.flights.entry(key) {
            Entry::Vacant(place) => {
                if !self.held.hold(&claim, limits) {
                    return Boarding::Full;
                }
                let flight = Flight { leader: claim, twins: Vec::new(), rivals: Vec::new() };
                Boarding::Lead(&place.insert(flight).leader)
            }
            Entry::Occupied(flight) => {
                let flight = flight.into_mut();
                let is_twin = claim.is_settled_by(&flight.leader);
                let conn = claim.conn;
                let is_second = |other: &Claim| other.conn == conn;
                // One rival of each connection: nobody can fill the list alone.
                let has_place = is_twin
                    || (flight.rivals.len() < limits.rivals_max
                        && !flight.rivals.iter().any(is_second));
                if !has_place || !self.held.hold(&claim, limits) {
                    return Boarding::Full;
                }
                if is_twin {
                    flight.twins.push(claim)
                } else {
                    flight.rivals.push(claim)
                }
                Boarding::Joined
            }
        }
    }

    /// Says whether something is being checked.
    pub(super) fn is_checked(&self, key: &FlightKey) -> bool {
        self.flights.contains_key(key)
    }

    /// Takes a flight whose verdict is in.
    pub(super) fn land(&mut self, key: &FlightKey) -> Option<Flight> {
        let flight = self.flights.remove(key)?;
        let Flight { leader, twins, rivals } = &flight;
        let claims = core::iter::once(leader).chain(twins).chain(rivals);
        claims.for_each(|claim| self.held.release(claim));
        Some(flight)
    }

    /// Lets somebody wait for an identity to be validated.
    pub(super) fn await_identity(
        &mut self,
        identity: &Identity,
        waiter: Waiter,
        limits: &Limits,
    ) -> Boarding {
        if let Waiter::Claim(claim) = &waiter
            && !self.held.hold(claim, limits)
        {
            return Boarding::Full;
        }
        match self.identities.get_mut(identity) {
            Some(waiters) => {
                waiters.push(waiter);
                Boarding::Joined
            }
            None => {
                self.identities.insert(identity.clone(), alloc::vec![waiter]);
                Boarding::Lead(())
            }
        }
    }

    /// Takes those who wait for an identity.
    pub(super) fn take_waiters(&mut self, identity: &Identity) -> Vec<Waiter> {
        let waiters = self.identities.remove(identity).unwrap_or_default();
        for waiter in &waiters {
            if let Waiter::Claim(claim) = waiter {
                self.held.release(claim);
            }
        }
        waiters
    }

    /// Lets a connection wait for its remote's message to be verified; true if nobody else does.
    pub(super) fn await_proof(&mut self, proof: Proof, conn: ConnId) -> bool {
        let waiting = self.proofs.entry(proof).or_default();
        waiting.push(conn);
        waiting.len() == 1
    }

    /// Takes the connections that wait for a connection message.
    pub(super) fn take_proof(&mut self, proof: &Proof) -> Vec<ConnId> {
        self.proofs.remove(proof).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let held = &self.held;
        let of_connection = held.of_connection.values().copied().max().unwrap_or(0);
        let rivals = self.flights.values().map(|flight| flight.rivals.len()).max().unwrap_or(0);
        tables.add("claims", held.claims, limits.claims_max);
        tables.add("claims of one connection", of_connection, limits.claims_per_connection_max);
        // One may exceed the bound, if it is alone.
        let bytes = if held.claims > 1 { held.bytes } else { 0 };
        tables.add("bytes of claims", bytes, limits.claim_bytes_max);
        tables.add("rivals of one claim", rivals, limits.rivals_max);
    }
}

impl Held {
    /// Makes room for a claim, if there is any.
    fn hold(&mut self, claim: &Claim, limits: &Limits) -> bool {
        let bytes = claim.bytes();
        if self.claims >= limits.claims_max
            || (self.bytes > 0 && self.bytes + bytes > limits.claim_bytes_max)
        {
            return false;
        }
        if limits.claims_per_connection_max == 0 {
            return false;
        }
        let held = self.of_connection.entry(claim.conn).or_insert(0);
        if *held >= limits.claims_per_connection_max {
            return false;
        }
        *held += 1;
        self.claims += 1;
        self.bytes += bytes;
        true
    }

    fn release(&mut self, claim: &Claim) {
        self.claims -= 1;
        self.bytes -= claim.bytes();
        if let Entry::Occupied(mut held) = self.of_connection.entry(claim.conn) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
