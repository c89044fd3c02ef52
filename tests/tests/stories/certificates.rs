//! Certificates that expire, are renewed and are revoked.

use gossip_tests::story::{MINUTE, SECOND, Story};

#[test]
fn an_expired_certificate_is_in_no_view_and_its_renewal_in_all() {
    let mut story = Story::of(31, 2, 3).met();
    story.each("b2", |world, host| world.certify(host, Some(MINUTE)));
    story.wait(MINUTE - 2 * SECOND);
    story.expect_view("all -b2", "all");
    story.wait(5 * SECOND);
    story.expect_view("all -b2", "all -b2");
    story.each("b2", |world, host| world.certify(host, None));
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn a_revoked_certificate_is_in_no_view_and_never_comes_back() {
    let mut story = Story::of(32, 2, 3).met();
    story.each("b2", |world, host| world.revoke(host));
    story.wait(10 * SECOND);
    story.expect_view("all -b2", "all -b2");
    // It goes on as if nothing were.
    story.wait(5 * MINUTE);
    story.expect_view("all -b2", "all -b2");
    story.expect_blocks("all -b2", 2);
    story.each("b2", |world, host| world.certify(host, None));
    story.settle();
    story.expect_view("all", "all");
}

#[test]
fn a_revoked_organisation_is_gone_and_the_others_do_not_miss_it() {
    let mut story = Story::of(33, 3, 3).met();
    story.each("c", |world, host| world.revoke(host));
    story.wait(10 * SECOND);
    story.expect_view("a b", "a b");
    story.wait(5 * MINUTE);
    story.expect_view("a b", "a b");
    story.expect_blocks("a b", 2);
}

/// All certificates of an organisation run out at the same moment, as they were issued.
#[test]
fn an_organisation_whose_certificates_all_ran_out_is_back_with_new_ones() {
    let mut story = Story::of(34, 2, 3).met();
    story.each("b", |world, host| world.certify(host, Some(2 * MINUTE)));
    story.wait(MINUTE);
    story.expect_view("a", "all");
    story.wait(MINUTE + 5 * SECOND);
    story.expect_view("a", "a");
    story.each("b", |world, host| world.certify(host, None));
    story.settle();
    story.expect_view("all", "all");
}

/// The anchors go first, one after the other, while the others still have the old certificates.
#[test]
fn certificates_are_renewed_one_by_one_while_blocks_flow() {
    let mut story = Story::of(35, 2, 3).met();
    for peer in ["a0", "b0", "a1", "b1", "a2", "b2"] {
        story.each(peer, |world, host| world.certify(host, None));
        story.wait(15 * SECOND);
        story.expect_view(&format!("all -{peer}"), "all");
        story.expect_blocks("all", 2);
    }
    // Who had the old ones is dead by now, and its names are in no view.
    story.wait(2 * MINUTE);
    story.expect_view("all", "all");
}
