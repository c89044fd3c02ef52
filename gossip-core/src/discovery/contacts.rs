//! Bootstrap and anchor peers: each is contacted until it answers (§11).

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use crate::{Config, Endpoint, Fault, OrgId, PkiId, rng::Rng, wire::Alive};

use super::{Cx, Discovery, Effect, Timer, disclosure::request, own::Waiting, pace::jitter};

/// What is claimed of whoever is at an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Claimed {
    /// A bootstrap peer or an anchor peer of ours: somebody of another organisation is refused.
    OwnOrg,
    /// An anchor peer of another organisation: whose is not compared (N10.2.a).
    Foreign,
}

/// The endpoints that are being contacted.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    entries: BTreeMap<u32, Contact>,
    next: u32,
}

#[derive(Debug)]
struct Contact {
    endpoint: Endpoint,
    claimed: Claimed,
    /// Attempts of this phase that have failed.
    failures: u32,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Finding out who is there.
    Identify,
    /// Asking it, with the same request each time (D11.a).
    Ask { to: PkiId, nonce: u64, request: Option<Bytes> },
}

impl Contacts {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Drops the contact whose request had this nonce, and returns its number.
    fn answered(&mut self, nonce: u64) -> Option<u32> {
        let is_answered = |contact: &Contact| match contact.phase {
            Phase::Ask { nonce: asked, .. } => asked == nonce,
            Phase::Identify => false,
        };
        let id =
            self.entries.iter().find(|(_, contact)| is_answered(contact)).map(|(id, _)| *id)?;
        self.entries.remove(&id);
        Some(id)
    }
}

impl Discovery {
    /// Contacts an endpoint until a membership response comes.
    ///
    /// Skips our own endpoints (D-39), those being contacted already, and those of other
    /// organisations while we have no endpoint to tell them (N10.2).
    pub(crate) fn connect(&mut self, endpoint: Endpoint, claimed: Claimed, cx: &mut Cx<'_>) {
        let is_hidden = claimed == Claimed::Foreign && self.own.external_endpoint().is_none();
        let mut contacts = self.contacts.entries.values();
        let is_known = contacts.any(|contact| contact.endpoint == endpoint);
        if self.is_stopped || is_hidden || is_known || self.own.is_at(&endpoint) {
            return;
        }
        if self.contacts.entries.len() >= cx.config.limits.contacts_max {
            return cx.stats.count(Fault::Overflow);
        }
        let id = self.contacts.next;
        self.contacts.next = id.wrapping_add(1);
        cx.emit(Effect::Handshake { contact: id, endpoint: endpoint.clone() });
        let contact = Contact { endpoint, claimed, failures: 0, phase: Phase::Identify };
        self.contacts.entries.insert(id, contact);
    }

    /// Takes the answer to [`Effect::Handshake`].
    pub(crate) fn on_handshake(&mut self, id: u32, found: Option<(PkiId, OrgId)>, cx: &mut Cx<'_>) {
        let Some(contact) = self.contacts.entries.get_mut(&id) else {
            return;
        };
        if !matches!(contact.phase, Phase::Identify) {
            return;
        }
        let found =
            found.filter(|(_, org)| contact.claimed == Claimed::Foreign || *org == cx.config.org);
        match found {
            // The endpoint is ours under another name.
            Some((to, _)) if to == *self.own.pki_id() => {
                self.contacts.entries.remove(&id);
            }
            Some((to, _)) => {
                contact.failures = 0;
                contact.phase = Phase::Ask { to, nonce: cx.rng.next_u64(), request: None };
                self.ask(id, cx);
            }
            None => self.on_attempt_failed(id, cx),
        }
    }

    /// Notes that a membership response came: whoever sent it, the contact is done (§8.3).
    pub(crate) fn on_response(&mut self, nonce: u64, cx: &mut Cx<'_>) {
        if let Some(id) = self.contacts.answered(nonce) {
            cx.emit(Effect::CancelTimer(Timer::Contact(id)));
        }
    }

    /// Goes on with a contact whose pause is over.
    pub(super) fn on_contact_timer(&mut self, id: u32, cx: &mut Cx<'_>) {
        let Some(contact) = self.contacts.entries.get(&id) else {
            return;
        };
        match contact.phase {
            Phase::Identify => {
                let endpoint = contact.endpoint.clone();
                cx.emit(Effect::Handshake { contact: id, endpoint });
            }
            // Its certificate was replaced or revoked: who is there now?
            Phase::Ask { to, .. } if cx.org(&to).is_none() => self.identify(id, cx),
            Phase::Ask { .. } => {
                if self.fail(id, cx).is_some() {
                    self.ask(id, cx);
                }
            }
        }
    }

    /// Finds out anew who is at a contact's endpoint.
    fn identify(&mut self, id: u32, cx: &mut Cx<'_>) {
        if self.fail(id, cx).is_none() {
            return;
        }
        if let Some(contact) = self.contacts.entries.get_mut(&id) {
            contact.phase = Phase::Identify;
            cx.emit(Effect::Handshake { contact: id, endpoint: contact.endpoint.clone() });
        }
    }

    /// Sends a contact's request, as soon as there is one, and waits for the response.
    fn ask(&mut self, id: u32, cx: &mut Cx<'_>) {
        let at = cx.now + RESPONSE_TIMEOUT;
        cx.emit(Effect::SetTimer { timer: Timer::Contact(id), at });
        let Some(contact) = self.contacts.entries.get(&id) else {
            return;
        };
        match &contact.phase {
            Phase::Ask { to, request: Some(request), .. } => {
                let (endpoint, frame) = (Some(contact.endpoint.clone()), request.clone());
                cx.emit(Effect::Send { to: *to, endpoint, frame });
            }
            Phase::Ask { .. } | Phase::Identify => self.send_with_alive(Waiting::Contact(id), cx),
        }
    }

    /// Makes a contact's request of our alive message and sends it.
    pub(super) fn send_first_request(&mut self, id: u32, own: &Alive, cx: &mut Cx<'_>) {
        let Some(contact) = self.contacts.entries.get_mut(&id) else {
            return;
        };
        let Phase::Ask { to, nonce, request: ref mut made } = contact.phase else {
            return;
        };
        let frame = request(&to, own, nonce, cx);
        *made = Some(frame.clone());
        cx.emit(Effect::Send { to, endpoint: Some(contact.endpoint.clone()), frame });
    }

    fn on_attempt_failed(&mut self, id: u32, cx: &mut Cx<'_>) {
        if let Some(failures) = self.fail(id, cx) {
            let pause = pause(failures, cx.config, cx.rng);
            cx.emit(Effect::SetTimer { timer: Timer::Contact(id), at: cx.now + pause });
        }
    }

    /// Counts a failed attempt and returns how many there were; `None` if it was the last (D-40).
    fn fail(&mut self, id: u32, cx: &Cx<'_>) -> Option<u32> {
        let contact = self.contacts.entries.get_mut(&id)?;
        contact.failures += 1;
        let failures = contact.failures;
        if failures >= cx.config.max_connection_attempts {
            self.contacts.entries.remove(&id);
            return None;
        }
        Some(failures)
    }
}

/// Returns the pause after a number of failures, up to `reconnect_interval`.
///
/// Fabric always pauses that long (D11.c). Peers of a network start together, so that the first
/// attempts come a moment too early: those are soon repeated.
fn pause(failures: u32, config: &Config, rng: &mut Rng) -> Duration {
    const QUICK: u32 = 5;
    let pause = match failures.checked_sub(QUICK) {
        None | Some(0) => Duration::from_millis(200),
        Some(slow) => Duration::from_secs(1 << (slow - 1).min(16)),
    };
    jitter(pause.min(config.reconnect_interval), rng)
}

/// How long a response may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
