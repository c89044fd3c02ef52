//! How far a tool is, on stderr.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Says how far a tool is: often on a terminal, else now and then.
pub(super) struct Progress {
    subject: String,
    is_terminal: bool,
    told: Instant,
    has_line: bool,
}

impl Progress {
    /// Begins with nothing to say. `subject` stands before all.
    pub(super) fn new(subject: impl Into<String>) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { subject: subject.into(), is_terminal, told: Instant::now(), has_line: false }
    }

    /// Says which block was dealt with, if that is due.
    pub(super) fn tell(&mut self, number: u64) {
        let pause = if self.is_terminal { TERMINAL_PAUSE } else { LINE_PAUSE };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let text = format!("{}: block {number}", self.subject);
        // Nobody misses it where stderr takes no more.
        let _ = match self.is_terminal {
            true => write!(io::stderr(), "\r\x1b[K{text}"),
            false => writeln!(io::stderr(), "{text}"),
        };
        self.has_line = self.is_terminal;
    }
}

/// Takes the line away again.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_line {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
const LINE_PAUSE: Duration = Duration::from_secs(10);
