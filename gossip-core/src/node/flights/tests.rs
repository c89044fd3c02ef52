//! Single flight: one check for all copies, and bounds on what waits.

use alloc::{boxed::Box, vec, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, SecretEnvelope};

use crate::{
    ConnId, Identity, Limits, PkiId, Stamp,
    wire::{Alive, NewAlive},
};

use super::{AliveRole, BlockRole, Boarding, ChannelIx, Claim, Flights, Waiter, What};

fn envelope(subject: u8, signature: &str, secret: Option<&str>) -> Envelope {
    let stamp = Stamp { incarnation: 1, sequence: 1 };
    let (pki_id, metadata) = (PkiId::new([subject; 32]), &Bytes::new());
    let alive = NewAlive { pki_id, stamp, endpoint: None, metadata, identity: None, extensions: 0 };
    let secret = secret.map(|secret| {
        let payload = Bytes::copy_from_slice(secret.as_bytes());
        SecretEnvelope { payload, signature: "signature".into() }
    });
    let signature = Bytes::copy_from_slice(signature.as_bytes());
    Envelope { payload: alive.payload(), signature, secret_envelope: secret }
}

fn said(conn: u64, subject: u8, signature: &str, secret: Option<&str>) -> Claim {
    let alive =
        Alive::parse_nested(envelope(subject, signature, secret), 1000).expect("well formed");
    let what = What::Alive { alive: alive.into(), role: AliveRole::Pushed };
    Claim { conn: ConnId::new(conn), from: PkiId::new([conn as u8; 32]), what }
}

fn honest(conn: u64, subject: u8) -> Claim {
    said(conn, subject, "honest", None)
}

fn forged(conn: u64, subject: u8) -> Claim {
    said(conn, subject, "forged", None)
}

fn block(conn: u64, number: u64, body: &'static [u8]) -> Claim {
    let (block, frame) = (Bytes::from_static(body), Bytes::from_static(body));
    let (channel, role) = (ChannelIx(0), BlockRole::Pushed);
    let what = What::Block { channel, number, block, frame, role };
    Claim { conn: ConnId::new(conn), from: PkiId::new([conn as u8; 32]), what }
}

fn conns(claims: impl IntoIterator<Item = Claim>) -> Vec<u64> {
    claims.into_iter().map(|claim| claim.conn.get()).collect()
}

fn board(flights: &mut Flights, claim: Claim, limits: &Limits) -> Boarding {
    match flights.board(claim.key(), claim, limits) {
        Boarding::Lead(_) => Boarding::Lead(()),
        Boarding::Joined => Boarding::Joined,
        Boarding::Full => Boarding::Full,
    }
}

#[test]
fn three_copies_make_one_check() {
    let (mut flights, limits) = (Flights::default(), Limits::default());
    let key = honest(1, 7).key();
    let boarded = [1, 2, 3].map(|conn| board(&mut flights, honest(conn, 7), &limits));
    assert!(matches!(boarded, [Boarding::Lead(()), Boarding::Joined, Boarding::Joined]));
    let flight = flights.land(&key).expect("a flight");
    assert_eq!(flight.leader.conn, ConnId::new(1));
    assert_eq!(conns(flight.twins), [2, 3]);
    assert!(flights.land(&key).is_none());
    assert!(
        matches!(board(&mut flights, honest(1, 7), &limits), Boarding::Lead(())),
        "it can come again"
    );
}

#[test]
fn statements_of_different_peers_are_checked_apart() {
    let (mut flights, limits) = (Flights::default(), Limits::default());
    assert!(matches!(board(&mut flights, honest(1, 7), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, honest(1, 8), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, block(1, 8, b"b"), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, block(1, 9, b"b"), &limits), Boarding::Lead(())));
}

#[test]
fn copies_are_told_apart_by_their_bytes() {
    let (mut flights, limits) = (Flights::default(), Limits::default());
    let key = honest(1, 7).key();
    for claim in [forged(1, 7), honest(2, 7), forged(3, 7), said(4, 7, "forged", Some("s"))] {
        let _ = board(&mut flights, claim, &limits);
    }
    let flight = flights.land(&key).expect("a flight");
    assert_eq!((conns(flight.twins), conns(flight.rivals)), (vec![3], vec![2, 4]));
    let key = block(1, 5, b"one").key();
    for claim in [block(1, 5, b"one"), block(2, 5, b"other"), block(3, 5, b"one")] {
        let _ = board(&mut flights, claim, &limits);
    }
    let flight = flights.land(&key).expect("a flight");
    assert_eq!((conns(flight.twins), conns(flight.rivals)), (vec![3], vec![2]));
}

#[test]
fn a_copy_without_its_secret_goes_with_the_whole_and_falls_apart_from_it() {
    let whole = said(1, 7, "honest", Some("s"));
    let (same, bare) = (said(2, 7, "honest", Some("s")), honest(3, 7));
    assert!(same.is_settled_by(&whole) && bare.is_settled_by(&whole));
    assert!(!whole.is_settled_by(&bare), "the secret is to be checked");
    assert!(same.is_copy_of(&whole) && !bare.is_copy_of(&whole));
}

#[test]
fn no_connection_brings_two_rivals_and_no_statement_has_many() {
    let mut flights = Flights::default();
    let limits = Limits { rivals_max: 3, ..Limits::default() };
    let _ = board(&mut flights, honest(0, 7), &limits);
    let other = |conn, signature| said(conn, 7, signature, None);
    assert!(matches!(board(&mut flights, other(1, "x"), &limits), Boarding::Joined));
    assert!(matches!(board(&mut flights, other(1, "y"), &limits), Boarding::Full));
    assert!(matches!(board(&mut flights, other(2, "y"), &limits), Boarding::Joined));
    assert!(matches!(board(&mut flights, other(3, "z"), &limits), Boarding::Joined));
    assert!(matches!(board(&mut flights, other(4, "w"), &limits), Boarding::Full));
    assert!(
        matches!(board(&mut flights, honest(5, 7), &limits), Boarding::Joined),
        "twins are welcome"
    );
    let flight = flights.land(&honest(0, 7).key()).expect("a flight");
    assert_eq!((conns(flight.twins), conns(flight.rivals)), (vec![5], vec![1, 2, 3]));
}

#[test]
fn what_waits_is_bounded_for_each_connection_and_in_all() {
    let mut flights = Flights::default();
    let limits = Limits { claims_per_connection_max: 2, claims_max: 3, ..Limits::default() };
    assert!(matches!(board(&mut flights, honest(1, 1), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, honest(1, 2), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, honest(1, 3), &limits), Boarding::Full));
    assert!(matches!(board(&mut flights, honest(2, 1), &limits), Boarding::Joined));
    assert!(matches!(board(&mut flights, honest(3, 1), &limits), Boarding::Full));
    assert!(flights.land(&honest(1, 1).key()).is_some());
    assert!(matches!(board(&mut flights, honest(1, 3), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, honest(3, 1), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, honest(3, 2), &limits), Boarding::Full));
}

#[test]
fn the_bytes_that_wait_are_bounded_but_one_large_block_always_fits() {
    let mut flights = Flights::default();
    let limits = Limits { claim_bytes_max: 10, ..Limits::default() };
    assert!(matches!(board(&mut flights, block(1, 1, &[0; 50]), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, block(1, 2, &[0; 1]), &limits), Boarding::Full));
    assert!(flights.land(&block(1, 1, b"").key()).is_some());
    assert!(matches!(board(&mut flights, block(1, 2, &[0; 6]), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, block(1, 3, &[0; 4]), &limits), Boarding::Lead(())));
    assert!(matches!(board(&mut flights, block(1, 4, &[0; 1]), &limits), Boarding::Full));
}

#[test]
fn one_validation_serves_all_who_wait_for_an_identity() {
    let mut flights = Flights::default();
    let limits = Limits { claims_per_connection_max: 2, ..Limits::default() };
    let identity = Identity::new("a");
    let claim = |conn, subject| Waiter::Claim(Box::new(honest(conn, subject)));
    let mut wait = |waiter| flights.await_identity(&identity, waiter, &limits);
    assert!(matches!(wait(claim(1, 1)), Boarding::Lead(())));
    assert!(matches!(wait(Waiter::Conn(ConnId::new(9))), Boarding::Joined));
    assert!(matches!(wait(claim(1, 2)), Boarding::Joined));
    assert!(matches!(wait(claim(1, 3)), Boarding::Full));
    assert_eq!(flights.take_waiters(&identity).len(), 3);
    assert!(flights.take_waiters(&identity).is_empty());
    let boarded = [4, 5].map(|subject| board(&mut flights, honest(1, subject), &limits));
    assert!(matches!(boarded, [Boarding::Lead(()), Boarding::Lead(())]), "the room is free again");
}
