//! What we say about ourselves on a channel.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{Chaincode, Instant, PkiId, Stamp, UnixTime, wire::NewStateInfo};

/// Our own StateInfo: what it says, and whether others have been told.
#[derive(Debug)]
pub(super) struct Own {
    info: NewStateInfo,
    /// The height is the ledger's, not the one to start with.
    has_height: bool,
    /// Something changed since it was last signed.
    dirty: bool,
    /// It is being signed.
    signing: bool,
    /// It was signed at least once: somebody may know it.
    is_said: bool,
    /// When words of an earlier run last made us take another incarnation.
    outdone_at: Option<Instant>,
    /// The earliest time of the next periodic publication.
    next: Instant,
}

impl Own {
    /// Starts with height 1, which nobody is told before something changes (CH-21).
    pub(super) const fn new(wall: UnixTime) -> Self {
        let stamp = Stamp { incarnation: wall.as_nanos(), sequence: wall.as_nanos() };
        let info = NewStateInfo { stamp, height: 1, left: false, chaincodes: Vec::new() };
        Self {
            info,
            has_height: false,
            dirty: false,
            signing: false,
            is_said: false,
            outdone_at: None,
            next: Instant::ZERO,
        }
    }

    pub(super) const fn height(&self) -> u64 {
        self.info.height
    }

    pub(super) const fn has_left(&self) -> bool {
        self.info.left
    }

    pub(super) fn set_height(&mut self, height: u64, wall: UnixTime) {
        if self.has_height && self.info.height == height {
            return;
        }
        (self.info.height, self.has_height) = (height, true);
        self.touch(wall);
    }

    pub(super) fn set_chaincodes(&mut self, chaincodes: Vec<Chaincode>, wall: UnixTime) {
        self.info.chaincodes = chaincodes;
        // They are published at once, or as soon as what is being signed is (CH-24).
        self.next = Instant::ZERO;
        self.touch(wall);
    }

    pub(super) fn set_left(&mut self, left: bool, wall: UnixTime) {
        self.info.left = left;
        self.touch(wall);
    }

    /// Says whether words of ours make all that we say now old news, as
    /// [`Discovery`](crate::discovery::Discovery::is_outdone_by) does.
    pub(super) fn is_outdone_by(&self, heard: Stamp, now: Instant, rest: Duration) -> bool {
        let can_outdo = heard.incarnation < u64::MAX;
        can_outdo && heard > self.info.stamp && self.outdone_at.is_none_or(|at| now - at >= rest)
    }

    /// Notes that an incarnation is taken because of what was heard.
    pub(super) fn outdone(&mut self, now: Instant) {
        self.outdone_at = Some(now);
    }

    /// Speaks under a later incarnation, and says at once what was said under the one before.
    pub(super) fn take_incarnation(&mut self, incarnation: u64, wall: UnixTime) {
        let stamp = &mut self.info.stamp;
        if incarnation > stamp.incarnation {
            *stamp = Stamp { incarnation, sequence: wall.as_nanos() };
            self.dirty |= self.is_said;
            self.next = Instant::ZERO;
        }
    }

    /// Lets the next publication wait until then.
    pub(super) fn not_before(&mut self, at: Instant) {
        self.next = self.next.max(at);
    }

    /// Returns when it may be published next, if there is anything to publish.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        (self.dirty && !self.signing).then(|| self.next.max(now))
    }

    /// Serializes it for signing; what changes from here on is for the next time.
    pub(super) fn begin(&mut self, pki_id: &PkiId, mac: &[u8; 32], next: Instant) -> Option<Bytes> {
        if !self.dirty || self.signing {
            return None;
        }
        (self.dirty, self.signing, self.is_said, self.next) = (false, true, true, next);
        Some(self.info.payload(pki_id, mac))
    }

    pub(super) fn signed(&mut self) {
        self.signing = false;
    }

    pub(super) fn signing_failed(&mut self) {
        (self.dirty, self.signing) = (true, false);
    }

    /// Makes the next version newer than this one, even if the clock stepped back (CH-26).
    fn touch(&mut self, wall: UnixTime) {
        let sequence = &mut self.info.stamp.sequence;
        *sequence = wall.as_nanos().max(sequence.saturating_add(1));
        self.dirty = true;
    }
}
