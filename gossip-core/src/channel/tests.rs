//! The window of blocks and those that wait for their turn; docs/protocol/60-channel.md §11.
//!
//! What concerns whole channels is tested with whole nodes, in `node`.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::Instant;

use super::blocks::{Backlog, Window};

const TTL: Duration = Duration::from_secs(400);

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

fn frame(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn window(numbers: impl IntoIterator<Item = u64>) -> Window {
    let mut window = Window::new(10, TTL);
    for number in numbers {
        window.insert(number, frame(number), at(0));
    }
    window
}

fn served(window: &Window) -> Vec<u64> {
    window.served().collect()
}

/// CH-41, CH-42.
#[test]
fn a_block_is_stored_once_and_served_as_it_came() {
    let mut window = window([5]);
    assert!(!window.would_accept(5) && !window.insert(5, frame(9), at(0)));
    assert_eq!((window.frame(5), window.frame(6)), (Some(frame(5)), None));
    assert!(window.contains(5));
}

/// CH-43, W-35: the highest block moves the window, not the order of arrival.
#[test]
fn the_window_reaches_ten_below_the_highest() {
    let window = window([20]);
    assert!(window.would_accept(10) && !window.would_accept(9));
    assert!(window.would_accept(u64::MAX));
    let mut window = self::window(10..=20);
    assert_eq!(served(&window).len(), 11);
    assert!(window.insert(22, frame(22), at(0)));
    assert_eq!(served(&window), (12..=20).chain([22]).collect::<Vec<_>>(), "CH-46");
    assert!(window.insert(21, frame(21), at(0)));
    assert!(!window.would_accept(11));
}

/// P-54, P-55; P-56: what newer blocks replace is served no more.
#[test]
fn the_highest_block_decides_which_are_kept() {
    let mut window = window([100]);
    let accepted = [90, 89, 100].map(|number| window.insert(number, frame(number), at(0)));
    assert_eq!(accepted, [true, false, false]);
    assert_eq!(served(&window), [90, 100]);
    for number in 91..=99 {
        assert!(window.insert(number, frame(number), at(0)));
    }
    assert!(window.insert(110, frame(110), at(0)));
    assert_eq!(served(&window), [100, 110]);
    assert!((90..100).all(|number| window.frame(number).is_none()));
    for number in 101..110 {
        assert!(window.insert(number, frame(number), at(0)));
    }
    assert_eq!(served(&window).len(), 11);
    assert!(window.insert(111, frame(111), at(0)));
    assert_eq!(served(&window), (101..=111).collect::<Vec<_>>());
}

/// P-59.
#[test]
fn to_ask_whether_a_block_would_be_accepted_changes_nothing() {
    let asked = window([5, 20]);
    let answers = || (0..50).map(|number| asked.would_accept(number)).collect::<Vec<_>>();
    let first = answers();
    assert_eq!((first[9], first[10], first[20], first[49]), (false, true, false, true));
    assert_eq!((answers(), served(&asked)), (first, vec![20]));
    let next = asked.next_expiry();
    assert_eq!(next, window([20]).next_expiry());
}

#[test]
fn numbers_at_the_end_of_the_range_do_no_harm() {
    let window = window([u64::MAX, 0, u64::MAX - 10, u64::MAX - 11]);
    assert_eq!(served(&window), [u64::MAX - 10, u64::MAX]);
}

/// CH-44: a block that turns out not to fit leaves no trace.
#[test]
fn a_removed_block_may_come_again() {
    let mut window = window([1]);
    window.remove(1);
    assert!(window.would_accept(1));
}

/// CH-47, P-57.
#[test]
fn an_old_block_is_served_no_more_but_refused_for_as_long_again() {
    let mut window = window([1]);
    let first = window.next_expiry().expect("a block");
    assert!(first > at(400));
    assert!(window.expire(at(400)).is_some());
    assert_eq!(served(&window), [1]);
    let second = window.expire(first).expect("still there");
    assert!(served(&window).is_empty());
    assert!(second > at(800) && !window.would_accept(1));
    assert_eq!(window.expire(second), None);
    assert!(window.would_accept(1));
}

fn backlog(next: u64) -> Backlog {
    Backlog::new(Some(next), 4, 100)
}

fn commit_all(backlog: &mut Backlog) -> Vec<u64> {
    let mut committed = Vec::new();
    while let Some((number, _)) = backlog.begin() {
        committed.push(number);
        backlog.committed();
    }
    committed
}

/// S-13, S-14.
#[test]
fn blocks_are_committed_in_order_one_at_a_time() {
    let mut backlog = backlog(1);
    assert!([3, 2, 1].iter().all(|number| backlog.insert(*number, frame(*number))));
    assert_eq!(backlog.begin(), Some((1, frame(1))));
    assert_eq!(backlog.begin(), None, "the first is under way");
    assert_eq!(backlog.again(), Some((1, frame(1))));
    assert_eq!(backlog.committed(), Some(2));
    assert_eq!(commit_all(&mut backlog), [2, 3]);
    assert!(backlog.insert(5, frame(5)));
    assert!(commit_all(&mut backlog).is_empty(), "4 is missing");
    assert!(backlog.has_gap());
    assert_eq!(backlog.missing(), Some(4));
}

/// S-12.
#[test]
fn nothing_is_kept_twice_or_below_the_height() {
    let mut backlog = backlog(5);
    assert!(!backlog.lacks(4) && !backlog.insert(4, frame(4)));
    assert!(backlog.insert(5, frame(5)) && !backlog.insert(5, frame(5)));
    let _ = backlog.begin();
    assert!(!backlog.insert(5, frame(5)), "it is being committed");
    let mut unknown = Backlog::new(None, 4, 100);
    assert!(!unknown.insert(0, frame(0)), "nobody knows the height");
}

#[test]
fn when_full_what_is_nearer_to_its_turn_takes_the_place_of_the_farthest() {
    let mut backlog = backlog(1);
    assert!([10, 11, 12, 13].iter().all(|number| backlog.insert(*number, frame(*number))));
    assert!(!backlog.insert(14, frame(14)), "it is the farthest itself");
    assert!(backlog.insert(2, frame(2)));
    assert!(backlog.lacks(13) && !backlog.lacks(12));
    assert!(backlog.insert(1, frame(1)));
    assert_eq!(commit_all(&mut backlog), [1, 2]);
}

#[test]
fn bytes_are_bounded_but_the_next_block_always_fits() {
    let mut backlog = backlog(1);
    let large = Bytes::from(vec![0; 60]);
    assert!(backlog.insert(5, large.clone()));
    assert!(!backlog.insert(6, large.clone()));
    assert!(backlog.insert(4, large), "instead of 5");
    assert!(backlog.lacks(5));
    assert!(!backlog.insert(3, vec![0; 101].into()), "it is not its turn");
    assert!(backlog.insert(1, vec![0; 1000].into()));
    assert_eq!(commit_all(&mut backlog), [1]);
}

#[test]
fn a_height_from_elsewhere_makes_waiting_blocks_superfluous() {
    let mut backlog = backlog(1);
    assert!([2, 3, 7].iter().all(|number| backlog.insert(*number, frame(*number))));
    assert_eq!(backlog.set_next(4), 4);
    assert_eq!(backlog.set_next(3), 4, "it never falls");
    assert!(!backlog.lacks(3) && !backlog.lacks(7));
    assert_eq!(backlog.set_next(7), 7);
    assert_eq!(commit_all(&mut backlog), [7]);
}

#[test]
fn a_rejected_block_may_be_replaced_by_another_copy() {
    let mut backlog = backlog(1);
    backlog.insert(1, frame(1));
    let _ = backlog.begin();
    backlog.rejected();
    assert_eq!((backlog.begin(), backlog.again()), (None, None));
    assert!(backlog.insert(1, frame(9)));
    assert_eq!(backlog.begin(), Some((1, frame(9))));
}
