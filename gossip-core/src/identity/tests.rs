//! Identities: docs/protocol/20-comm-and-identity.md §11.

use alloc::{format, vec, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::SecretEnvelope;

use crate::{Config, Identity, IdentityFacts, Instant, OrgId, PkiId, Signed, UnixTime};

use super::{Identities, Refusal};

const NOW: UnixTime = UnixTime::from_secs(1000);

fn pki(id: u8) -> PkiId {
    PkiId::new([id; 32])
}

fn identity(id: u8) -> Identity {
    Identity::new(format!("identity of {id}").into_bytes())
}

fn identities(change: impl FnOnce(&mut Config)) -> Identities {
    let mut config = Config::new(identity(0), pki(0), OrgId::from("org"), "own:7051".into());
    change(&mut config);
    Identities::new(&config, Instant::ZERO)
}

fn facts(id: u8, expires: Option<u64>) -> IdentityFacts {
    let expires_at = expires.map(UnixTime::from_secs);
    IdentityFacts { pki_id: pki(id), org: OrgId::from("org"), expires_at }
}

fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

/// C-35, C11.2 step 6.
#[test]
fn an_entry_is_never_overwritten() {
    let mut known = identities(|_| {});
    assert_eq!(known.insert(&identity(1), facts(1, None), at(0), NOW), Ok(true));
    let other = IdentityFacts { org: OrgId::from("other"), ..facts(1, Some(2000)) };
    assert_eq!(known.insert(&identity(2), other, at(0), NOW), Ok(false));
    assert_eq!(known.get(&pki(1)), Some(&identity(1)));
    assert_eq!(known.org(&pki(1)), Some(&OrgId::from("org")));
    assert_eq!(known.next_expiry(), None);
    let own = IdentityFacts { org: OrgId::from("other"), ..facts(0, None) };
    assert_eq!(known.insert(&identity(9), own, at(0), NOW), Ok(false), "not even ours");
}

/// C-15, C-35, C-36: the expiry is looked at only if the identity is new.
#[test]
fn an_expired_identity_is_refused_unless_it_is_known() {
    let mut known = identities(|_| {});
    let expired = known.insert(&identity(1), facts(1, Some(999)), at(0), NOW);
    assert_eq!(expired, Err(Refusal::Expired));
    assert_eq!(known.insert(&identity(1), facts(1, Some(1000)), at(0), NOW), Ok(true));
    let later = UnixTime::from_secs(5000);
    assert_eq!(known.insert(&identity(1), facts(1, Some(1000)), at(0), later), Ok(false));
}

/// C-37: they go in the order in which they expire, each after the end of its last moment.
#[test]
fn identities_expire_in_order() {
    let mut known = identities(|_| {});
    for (id, expires) in [(1, Some(3000)), (2, None), (3, Some(2000)), (4, Some(2000))] {
        known.insert(&identity(id), facts(id, expires), at(0), NOW).expect("room");
    }
    assert_eq!(known.next_expiry(), Some(UnixTime::from_secs(2000)));
    assert_eq!(known.expired(UnixTime::from_secs(2000)), []);
    assert_eq!(known.expired(UnixTime::from_nanos(2_000_000_000_001)), [pki(3), pki(4)]);
    assert_eq!(known.expired(UnixTime::from_secs(9000)), [pki(3), pki(4), pki(1)]);
    assert!(known.remove(&pki(3)) && known.remove(&pki(4)));
    assert_eq!(known.next_expiry(), Some(UnixTime::from_secs(3000)));
}

/// C-38: reading does not count as use, and ours is never unused.
#[test]
fn identities_that_are_used_stay() {
    let mut known = identities(|_| {});
    for id in [1, 2, 3] {
        known.insert(&identity(id), facts(id, None), at(0), NOW).expect("room");
    }
    let _ = (known.get(&pki(1)), known.org(&pki(1)));
    assert_eq!(known.use_of(&pki(2), at(10)), Some(&identity(2)));
    assert_eq!(known.unused_since(at(10)), [pki(1), pki(3)]);
    assert_eq!(known.others(), [pki(1), pki(2), pki(3)]);
    assert_eq!(known.use_of(&pki(9), at(10)), None);
}

#[test]
fn our_own_identity_is_never_forgotten() {
    let mut known = identities(|_| {});
    assert!(!known.remove(&pki(0)));
    assert!(!known.remove(&pki(1)), "unknown");
    assert_eq!(known.all(), [(pki(0), identity(0), OrgId::from("org"))]);
}

/// C-40: what is gone may come back.
#[test]
fn there_is_room_for_so_many_and_what_goes_makes_room() {
    let mut known = identities(|config| config.limits.identities_max = 3);
    let mut insert = |id| known.insert(&identity(id), facts(id, None), at(0), NOW);
    assert_eq!([1, 2, 3].map(&mut insert), [Ok(true), Ok(true), Err(Refusal::Full)]);
    assert!(known.remove(&pki(1)));
    let mut insert = |id| known.insert(&identity(id), facts(id, None), at(0), NOW);
    assert_eq!([3, 1].map(&mut insert), [Ok(true), Err(Refusal::Full)]);
}

/// What was verified once need not be again; it goes with the identity.
#[test]
fn proofs_are_remembered_as_long_as_the_identity() {
    let mut known = identities(|_| {});
    let message = |text: &'static str| Signed { payload: text.into(), signature: "s".into() };
    let secret =
        |text: &'static str| SecretEnvelope { payload: text.into(), signature: "s".into() };
    known.note_secret(&pki(1), &secret("unknown"));
    assert!(!known.knows_secret(&pki(1), &secret("unknown")));
    known.insert(&identity(1), facts(1, None), at(0), NOW).expect("room");
    known.prove(&pki(1), message("one"));
    known.note_secret(&pki(1), &secret("one"));
    assert!(known.is_proven(&pki(1), &message("one")));
    assert!(!known.is_proven(&pki(1), &message("two")));
    assert!(known.knows_secret(&pki(1), &secret("one")));
    assert!(!known.knows_secret(&pki(1), &secret("two")));
    known.remove(&pki(1));
    known.insert(&identity(1), facts(1, None), at(0), NOW).expect("room");
    assert!(!known.is_proven(&pki(1), &message("one")));
    assert!(!known.knows_secret(&pki(1), &secret("one")));
}

/// A stored identity must not keep the large frame alive that it came in.
#[test]
fn a_stored_identity_has_memory_of_its_own() {
    let frame = Bytes::from(vec![b'x'; 1 << 20]);
    let mut known = identities(|_| {});
    let slice = Identity::new(frame.slice(..100));
    known.insert(&slice, facts(1, None), at(0), NOW).expect("room");
    let stored = known.get(&pki(1)).expect("stored").as_bytes().as_ptr();
    assert!(!frame.as_ptr_range().contains(&stored));
    let _: Vec<_> = known.all();
}
