//! Wall clocks that are wrong, and machines that do not do their work.

use gossip_tests::story::{HOUR, MINUTE, SECOND, Story};

#[test]
fn a_clock_that_was_set_back_during_a_restart_makes_nobody_a_stranger() {
    let mut story = Story::of(41, 2, 3).met();
    story.vanish("a2");
    story.set_clock("a2", -3600);
    story.wait(3 * SECOND);
    story.start("a2");
    story.wait(10 * SECOND);
    story.expect_view("all", "all");
    story.settle();
}

/// What it says now is older than what all others remember of it.
#[test]
fn a_peer_that_lost_its_disk_and_whose_clock_was_set_back_is_heard_again() {
    for peer in ["a0", "b2"] {
        let mut story = Story::of(42, 2, 3).met();
        story.vanish(peer);
        story.set_clock(peer, -3600);
        story.each(peer, |world, host| world.lose_ledger(host));
        story.wait(3 * SECOND);
        story.start(peer);
        story.wait(MINUTE);
        story.expect_view("all", "all");
        story.settle();
    }
}

#[test]
fn a_clock_an_hour_ahead_harms_nobody_but_those_whom_it_takes_for_expired() {
    let mut story = Story::of(43, 2, 3).met();
    story.each("b2", |world, host| world.certify(host, Some(HOUR / 2)));
    story.set_clock("a1", 3600);
    story.wait(MINUTE);
    story.expect_view("a1", "all -b2");
    story.expect_view("all -a1 -b2", "all");
    story.set_clock("a1", 0);
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn clocks_that_drift_apart_part_nobody() {
    let mut story = Story::of(44, 2, 3).met();
    for (peer, nanos_per_milli) in [("a0", 10_000), ("a1", -10_000), ("b0", 5_000)] {
        story.each(peer, |world, host| world.drift_clock(host, nanos_per_milli));
    }
    for _ in 0..6 {
        story.wait(5 * MINUTE);
        story.expect_view("all", "all");
        story.expect_blocks("all", 2);
    }
}

/// Its pool answers nothing: it can neither sign nor check.
#[test]
fn a_peer_whose_jobs_are_all_lost_is_missed_and_recovers() {
    let mut story = Story::of(45, 2, 3).met();
    story.each("b1", |world, host| world.lose_jobs(host, true));
    story.wait(2 * MINUTE);
    story.expect_view("all -b1", "all -b1");
    story.expect_blocks("all -b1", 2);
    story.each("b1", |world, host| world.lose_jobs(host, false));
    story.settle();
    story.expect_view("all", "all");
}
