//! Messages whose receivers are to acknowledge them
//! (docs/protocol/20-comm-and-identity.md §9.4).

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use crate::{Acks, Instant, PkiId, RequestId, TooFewAcks};

/// The requests that are not finished, by the nonce that acknowledgements repeat.
///
/// The node holds at most [`Limits::requests_max`](crate::Limits::requests_max).
#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: BTreeMap<u64, Pending>,
    deadlines: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Pending {
    request: RequestId,
    deadline: Instant,
    min_ack: usize,
    acks: Acks,
}

/// A request that is over.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Finished {
    pub(super) request: RequestId,
    pub(super) result: Result<Acks, TooFewAcks>,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Says whether a request of this name is not finished.
    pub(super) fn contains(&self, request: RequestId) -> bool {
        self.pending.values().any(|pending| pending.request == request)
    }

    /// Says whether a nonce may be used: it is not in use, and is not the one that means none.
    pub(super) fn is_free(&self, nonce: u64) -> bool {
        nonce != 0 && !self.pending.contains_key(&nonce)
    }

    /// Begins to wait for `min_ack` acknowledgements, at least one, of these peers.
    pub(super) fn begin(
        &mut self,
        nonce: u64,
        request: RequestId,
        min_ack: usize,
        mut peers: Vec<PkiId>,
        deadline: Instant,
    ) {
        peers.sort_unstable();
        let acks = Acks { unanswered: peers, ..Acks::default() };
        self.deadlines.insert((deadline, nonce));
        self.pending.insert(nonce, Pending { request, deadline, min_ack, acks });
    }

    /// Takes a peer's answer, an empty text if it took the message. One that nobody waits for, or
    /// not from this peer, changes nothing (C-32, W-31).
    pub(super) fn on_answer(&mut self, nonce: u64, from: PkiId, error: &str) -> Option<Finished> {
        let pending = self.pending.get_mut(&nonce)?;
        let Acks { accepted, refused, unanswered } = &mut pending.acks;
        unanswered.remove(unanswered.binary_search(&from).ok()?);
        match error.is_empty() {
            true => accepted.push(from),
            false => refused.push((from, truncated(error))),
        }
        let is_over = accepted.len() >= pending.min_ack || unanswered.is_empty();
        if is_over { self.finish(nonce) } else { None }
    }

    /// Lists the nonces of those that wait for a peer.
    pub(super) fn waiting_for(&self, peer: &PkiId) -> Vec<u64> {
        let waiting = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.acks.unanswered.binary_search(peer).is_ok());
        waiting.map(|(nonce, _)| *nonce).collect()
    }

    /// Returns when the next request is over, answered or not.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes the next request whose time is over.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Finished> {
        let (at, nonce) = *self.deadlines.first()?;
        if at > now { None } else { self.finish(nonce) }
    }

    fn finish(&mut self, nonce: u64) -> Option<Finished> {
        let Pending { request, deadline, min_ack, acks } = self.pending.remove(&nonce)?;
        self.deadlines.remove(&(deadline, nonce));
        let result = match acks.accepted.len() >= min_ack {
            true => Ok(acks),
            false => Err(TooFewAcks { wanted: min_ack, acks }),
        };
        Some(Finished { request, result })
    }
}

/// Copies the start of a text that a peer sent: it may be as long as a frame.
fn truncated(text: &str) -> String {
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// What is kept of a peer's reason not to take a message.
const ERROR_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const REQUEST: RequestId = RequestId::new(1);
    const NONCE: u64 = 77;
    const DEADLINE: Instant = Instant::from_nanos(9);

    fn peers() -> [PkiId; 3] {
        [3, 1, 2].map(|byte| PkiId::new([byte; 32]))
    }

    fn begun(min_ack: usize) -> (Requests, [PkiId; 3]) {
        let mut requests = Requests::default();
        requests.begin(NONCE, REQUEST, min_ack, peers().to_vec(), DEADLINE);
        (requests, peers())
    }

    /// C-31: it is over with the last success that is needed.
    #[test]
    fn enough_acknowledgements_end_the_wait() {
        let (mut requests, [a, b, c]) = begun(2);
        assert_eq!(requests.on_answer(NONCE, a, "full"), None);
        assert_eq!(requests.on_answer(NONCE, b, ""), None);
        let acks = Acks {
            accepted: vec![b, c],
            refused: vec![(a, "full".into())],
            unanswered: Vec::new(),
        };
        let finished = Finished { request: REQUEST, result: Ok(acks) };
        assert_eq!(requests.on_answer(NONCE, c, ""), Some(finished));
        assert_eq!((requests.len(), requests.next_deadline()), (0, None));
    }

    /// C-30, C-31, CH-64.
    #[test]
    fn with_the_last_answer_it_is_over_even_if_too_few_are_acknowledgements() {
        let (mut requests, [a, b, c]) = begun(2);
        assert_eq!(requests.on_answer(NONCE, a, "no"), None);
        assert_eq!(requests.on_answer(NONCE, b, ""), None);
        let finished = requests.on_answer(NONCE, c, "no").expect("all have answered");
        let failure = finished.result.expect_err("one is too few");
        assert_eq!((failure.wanted, failure.acks.accepted), (2, vec![b]));
    }

    /// C-31: a time-out counts as a failure.
    #[test]
    fn when_the_time_is_over_those_who_are_silent_count_as_failures() {
        let (mut requests, [a, b, c]) = begun(2);
        assert_eq!(requests.on_answer(NONCE, a, ""), None);
        assert_eq!(requests.pop_due(Instant::from_nanos(8)), None);
        let finished = requests.pop_due(DEADLINE).expect("its time is over");
        let TooFewAcks { wanted, acks } = finished.result.expect_err("one is too few");
        assert_eq!((wanted, acks.unanswered), (2, vec![b, c]));
        assert_eq!(requests.on_answer(NONCE, b, ""), None, "C-32: it comes too late");
    }

    /// C-32, W-31, PD-19.
    #[test]
    fn an_answer_with_another_nonce_or_of_another_peer_or_a_second_one_does_not_count() {
        let (mut requests, [a, _, _]) = begun(2);
        let stranger = PkiId::new([9; 32]);
        assert_eq!(requests.on_answer(NONCE, a, ""), None);
        for (nonce, from) in [(NONCE, a), (NONCE, stranger), (NONCE + 1, peers()[1])] {
            assert_eq!(requests.on_answer(nonce, from, ""), None);
        }
        let finished = requests.pop_due(DEADLINE).expect("its time is over");
        assert_eq!(finished.result.expect_err("one is too few").acks.accepted, [a]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let (mut requests, [a, _, _]) = begun(1);
        assert_eq!(requests.on_answer(NONCE, a, &"é".repeat(600).replacen('é', "x", 1)), None);
        let finished = requests.pop_due(DEADLINE).expect("its time is over");
        let refused = finished.result.expect_err("nobody took it").acks.refused;
        assert_eq!(refused[0].1.len(), ERROR_BYTES_MAX - 1);
    }
}
