//! What was told and done, in words.

use bytes::Bytes;
use gossip_core::{Action, Command, ConnId, Event, Notice, Outcome, record::Outline};

use crate::sim::check::describe;

/// Describes an event in one line.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Tick => "the timer is due".to_owned(),
        Event::Message { conn, frame } => self::frame(*conn, frame),
        Event::Connected { conn, dial: Some(dial), remote, .. } => {
            format!("connection {conn} to {remote}, dial {dial}")
        }
        Event::Connected { conn, dial: None, remote, .. } => {
            format!("connection {conn} from {remote}")
        }
        Event::Pinged { dial } => format!("dial {dial} was answered"),
        Event::DialFailed { dial, error } => format!("dial {dial} failed: {error}"),
        Event::Disconnected { conn, write_failed: false } => format!("connection {conn} ended"),
        Event::Disconnected { conn, write_failed: true } => {
            format!("connection {conn} broke while it was written to")
        }
        Event::Sent { conn, frames } => format!("{frames} frames were written on {conn}"),
        Event::JobDone(completion) => {
            format!("job {} is done: {}", completion.job(), outcome(completion.outcome()))
        }
        Event::WallClock(time) => format!("the wall clock reads {}", utc(time.as_nanos())),
    }
}

/// Describes a frame that came.
pub(super) fn frame(conn: ConnId, frame: &Bytes) -> String {
    format!("← on {conn}: {}", described(frame))
}

/// Describes a command in one line.
pub(super) fn command(command: &Command) -> String {
    let text = match command {
        Command::GossipBlock { channel, number, block } => {
            format!("GossipBlock {number} of {channel}, {} bytes", block.len())
        }
        Command::Send { message, to, .. } => {
            format!("Send of a {:?} to {} peers", message.kind, to.len())
        }
        Command::SendByCriteria { request, message, .. } => {
            format!("SendByCriteria {request} of a {:?}", message.kind)
        }
        Command::Respond { conn, message, .. } => {
            format!("Respond on {conn} with a {:?}", message.kind)
        }
        Command::SetMetadata { metadata } => format!("SetMetadata of {} bytes", metadata.len()),
        other => format!("{other:?}"),
    };
    format!("command {}", cut(text))
}

/// Describes an action in one line.
pub(super) fn action(action: &Action) -> String {
    let outline = Outline::of(action);
    match action {
        Action::Send { frame, .. } => format!("{outline}: {}", described(frame)),
        Action::Notify(Notice::BlockReceived { channel, number, block, from }) => {
            format!("{outline} {number} of {channel}, {} bytes, from {from}", block.len())
        }
        Action::Notify(Notice::Message { from, message, .. }) => {
            format!("{outline}: {:?} of {} from {from}", message.kind, message.channel)
        }
        Action::Notify(notice) => format!("notice {}", cut(format!("{notice:?}"))),
        Action::Dial { .. } | Action::Close { .. } | Action::Job(_) => outline.to_string(),
    }
}

/// Writes a moment as people in Greenwich do.
pub(super) fn utc(nanos: u64) -> String {
    let secs = nanos / 1_000_000_000;
    let (days, secs) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = date(days);
    let (hours, minutes) = (secs / 3600, secs / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hours:02}:{minutes:02}:{:02} UTC", secs % 60)
}

/// Finds the date that is so many days after the first of January 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted => "it holds".to_owned(),
        Outcome::Signature(signature) => format!("a signature of {} bytes", signature.len()),
        Outcome::Identity(facts) => format!("{} of {}", facts.pki_id, facts.org),
        Outcome::Blocks(blocks) => format!("{} blocks", blocks.len()),
        Outcome::Rejected(why) => format!("rejected: {why}"),
        Outcome::Failed(why) => format!("failed: {why}"),
        other => format!("{other:?}"),
    }
}

fn described(frame: &Bytes) -> String {
    cut(describe(frame))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Characters of what may be long.
const TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let utc = |secs: u64| utc(secs * 1_000_000_000);
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_764_081_000), "2025-11-25 14:30:00 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}
