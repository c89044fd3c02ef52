//! What happens between peers.

use gossip_tests::story::{DAY, HOUR, MINUTE, SECOND, Story};

#[test]
fn an_organisation_that_was_apart_for_a_day_is_back_when_the_day_is_over() {
    let mut story = Story::of(11, 2, 2).met();
    story.world.close_orderers();
    story.part("a", "b", DAY);
    story.wait(2 * MINUTE);
    story.expect_view("a", "a");
    story.expect_view("b", "b");
    story.wait(DAY - 2 * MINUTE);
    story.settle();
    story.expect_view("all", "all");
}

/// Each takes the other for dead whenever it finds that it cannot reach it, and for alive again
/// when others tell of it; all else goes on.
#[test]
fn two_who_do_not_reach_each_other_disturb_nobody_and_miss_no_block() {
    let mut story = Story::of(12, 2, 3).met();
    story.part("a1", "a2", HOUR);
    let mut heard = 0;
    for _ in 0..60 {
        story.wait(MINUTE);
        story.expect_view("all -a1 -a2", "all");
        story.expect_known("a1 a2", "all -a1 -a2");
        story.expect_blocks("all", 2);
        heard += usize::from(story.view("a1").contains(&"a2"));
    }
    assert!(heard > 10, "a1 hears of a2 from others");
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn whom_nobody_hears_is_dead_to_all_and_back_once_it_is_heard() {
    let mut story = Story::of(13, 2, 3).met();
    story.mute("b1", "all -b1", 10 * MINUTE);
    story.wait(2 * MINUTE);
    story.expect_view("all -b1", "all -b1");
    story.wait(8 * MINUTE);
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn who_hears_nobody_holds_nobody_alive_and_all_once_it_hears() {
    let mut story = Story::of(14, 2, 3).met();
    story.mute("all -b1", "b1", 5 * MINUTE);
    story.wait(2 * MINUTE);
    story.expect_view("b1", "b1");
    story.wait(3 * MINUTE);
    story.settle();
    story.expect_view("all", "all");
}

/// Of four groups each is alone; the channel's blocks reach the organisations, which have a leader
/// each, and nobody of another group until it is over.
#[test]
fn a_network_in_pieces_is_whole_again() {
    let mut story = Story::of(15, 2, 4).met();
    for (piece, rest) in [("a0 a1", "all -a0 -a1"), ("b0 b1", "all -b0 -b1"), ("a2 a3", "b2 b3")] {
        story.part(piece, rest, 20 * MINUTE);
    }
    story.wait(5 * MINUTE);
    story.expect_view("a0", "a0 a1");
    story.expect_view("b1", "b0 b1");
    story.expect_view("a3", "a2 a3");
    story.expect_blocks("a0 b0", 0);
    let (height, all) = story.world.heights(story.host("a2"), 0);
    assert!(height < all, "nobody brings blocks to a2");
    story.wait(15 * MINUTE);
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn a_slow_reader_delays_nobody_else() {
    let mut story = Story::of(16, 2, 3).met();
    for _ in 0..60 {
        story.each("b2", |world, host| world.stall_all(host, SECOND));
        story.wait(SECOND);
        story.expect_blocks("all -b2", 1);
    }
    story.expect_view("all -b2", "all");
    story.settle();
}

#[test]
fn links_that_stand_still_for_a_minute_lose_nothing_that_matters() {
    let mut story = Story::of(17, 2, 3).met();
    story.each("all", |world, host| world.stall_all(host, MINUTE));
    story.wait(MINUTE + 10 * SECOND);
    story.settle();
    story.expect_view("all", "all");
    story.expect_blocks("all", 0);
}

/// No later block and no height of a later one tells of those that were missed: that others are
/// there again does. Whom nobody reached is tried again within 25 seconds.
#[test]
fn what_a_peer_missed_it_has_soon_also_if_nothing_happens_any_more() {
    for seed in 18..24 {
        let mut story = Story::of(seed, 2, 3).met();
        story.wait(MINUTE);
        story.part("b1", "all -b1", 10 * SECOND);
        story.wait(5 * SECOND);
        story.world.close_orderers();
        story.wait(40 * SECOND);
        story.expect_view("all", "all");
        story.expect_blocks("all", 0);
    }
}
