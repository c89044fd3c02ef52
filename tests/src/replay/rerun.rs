//! A second run of a node, with the first beside it.

use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use gossip_core::{
    Action, ConnId, Event, Instant, Node,
    record::{Acted, Digest, Record},
};

use super::{
    file::{Ending, Log},
    report::Report,
    text,
};

/// What came of a second run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The node did the same, as far as the log goes.
    Same,
    /// It did something else.
    Differs(Box<Difference>),
    /// It panicked. Perhaps it did so the first time: then the log ends there.
    Panics(Box<Difference>),
    /// The log cannot be re-run, or not further.
    Unreadable(String),
}

/// The first thing that a node did differently.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// When.
    pub at: Instant,
    /// The record of the event or command that the node answered, counted from the header, which
    /// is 0 and stands for the making of the node.
    pub record: u64,
    /// That event or command.
    pub input: String,
    /// Which action it would be, counted from 0.
    pub action: u64,
    /// What the log has.
    pub expected: String,
    /// What the node did.
    pub found: String,
}

/// Re-runs the log of a node up to the first difference, and keeps the last `trace` lines of what
/// happened.
///
/// # Errors
///
/// If the log does not begin as one: nothing was re-run.
pub fn rerun(input: impl Read, trace: usize) -> Result<Report, super::LogError> {
    let (header, mut log) = Log::open(input)?;
    let mut report = Report::new(header.version.clone(), &header.config);
    let mut node = match Node::new(header.config, header.start) {
        Ok(node) => node,
        Err(error) => {
            report.verdict = Verdict::Unreadable(format!("no node can be made: {error}"));
            return Ok(report);
        }
    };
    let mut run = Rerun {
        told: Told { at: header.start, record: 0, input: Input::Made },
        waiting: VecDeque::new(),
        refusal: None,
        digest: Digest::default(),
        actions: 0,
        trace: VecDeque::new(),
        trace_max: trace,
        counts: Counts::default(),
    };
    run.poll(&mut node);
    report.verdict = loop {
        let number = log.number();
        match log.next_record() {
            Ok(Some(record)) => {
                let step = AssertUnwindSafe(|| run.take(&mut node, number, record));
                match catch_unwind(step) {
                    Ok(Ok(())) => {}
                    Ok(Err(difference)) => break Verdict::Differs(difference),
                    Err(panic) => break Verdict::Panics(run.panics(&*panic)),
                }
            }
            Ok(None) => break run.end(log.ending()),
            Err(error) => break Verdict::Unreadable(error.to_string()),
        }
    };
    report.duration = run.told.at - header.start;
    report.records = log.number();
    report.bytes = log.offset();
    report.ending = log.ending();
    report.digest = run.digest.value();
    report.counts = run.counts;
    report.trace = run.trace.into();
    Ok(report)
}

/// What a log holds, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Events.
    pub events: BTreeMap<&'static str, u64>,
    /// Commands.
    pub commands: BTreeMap<&'static str, u64>,
    /// Commands that were refused.
    pub refused: u64,
    /// Bytes of frames that came.
    pub bytes_received: u64,
    /// What the node did.
    pub actions: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Rerun {
    /// The last event or command.
    told: Told,
    /// What the node did and was not compared yet, and whereupon.
    waiting: VecDeque<(Told, Action)>,
    /// That the node refused the last command, if it did.
    refusal: Option<String>,
    /// Of the actions that were compared.
    digest: Digest,
    actions: u64,
    trace: VecDeque<String>,
    trace_max: usize,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Told {
    at: Instant,
    record: u64,
    input: Input,
}

/// What the node was told, described when that is asked for: frames are many.
#[derive(Clone, Debug)]
enum Input {
    Made,
    Frame(ConnId, Bytes),
    Event(String),
    Command(String),
}

impl Input {
    fn of(event: &Event) -> Self {
        match event {
            Event::Message { conn, frame } => Self::Frame(*conn, frame.clone()),
            other => Self::Event(text::event(other)),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Made => "the node is made".to_owned(),
            Self::Frame(conn, frame) => text::frame(*conn, frame),
            Self::Event(text) | Self::Command(text) => text.clone(),
        }
    }
}

impl Rerun {
    fn take(&mut self, node: &mut Node, number: u64, record: Record) -> Step {
        let name = record.name();
        match record {
            Record::Refused(expected) => return self.compare_refusal(Some(expected)),
            Record::Event { .. } | Record::Command { .. } | Record::Actions(_) | Record::End => {
                self.compare_refusal(None)?;
            }
        }
        match record {
            Record::Event { at, event } => {
                *self.counts.events.entry(name).or_default() += 1;
                if let Event::Message { frame, .. } = &event {
                    self.counts.bytes_received += frame.len() as u64;
                }
                self.tell(at, number, Input::of(&event));
                node.handle(at, event);
                self.poll(node);
            }
            Record::Command { at, command } => {
                *self.counts.commands.entry(name).or_default() += 1;
                self.tell(at, number, Input::Command(text::command(&command)));
                self.refusal = node.command(at, command).err().map(|error| error.to_string());
                self.poll(node);
            }
            Record::Actions(acted) => return self.compare(acted),
            Record::Refused(_) | Record::End => {}
        }
        Ok(())
    }

    fn tell(&mut self, at: Instant, record: u64, input: Input) {
        self.note(|| format!("{at} #{record} {}", input.text()));
        self.told = Told { at, record, input };
    }

    /// Takes what the node did: it does not matter to the node when.
    fn poll(&mut self, node: &mut Node) {
        while let Some(action) = node.poll_action() {
            self.note(|| format!("{:>14} → {}", "", text::action(&action)));
            self.waiting.push_back((self.told.clone(), action));
        }
    }

    /// Compares what the node did since the last time.
    fn compare(&mut self, expected: Vec<Acted>) -> Step {
        for expected in expected {
            let Some((told, action)) = self.waiting.pop_front() else {
                let told = self.told.clone();
                return self.differs(&told, expected.outline.to_string(), "nothing".to_owned());
            };
            let found = self.digest.acted(&action);
            if found != expected {
                let found = text::action(&action);
                return self.differs(&told, expected.outline.to_string(), found);
            }
            *self.counts.actions.entry(kind(&action)).or_default() += 1;
            self.actions += 1;
        }
        self.nothing_waits()
    }

    fn nothing_waits(&mut self) -> Step {
        match self.waiting.pop_front() {
            Some((told, action)) => {
                self.differs(&told, "nothing more".to_owned(), text::action(&action))
            }
            None => Ok(()),
        }
    }

    fn compare_refusal(&mut self, expected: Option<String>) -> Step {
        let found = self.refusal.take();
        if found == expected {
            self.counts.refused += u64::from(found.is_some());
            return Ok(());
        }
        let text = |refusal: Option<String>| match refusal {
            Some(error) => format!("the command is refused: {error}"),
            None => "the command is taken".to_owned(),
        };
        let told = self.told.clone();
        self.differs(&told, text(expected), text(found))
    }

    fn differs(&self, told: &Told, expected: String, found: String) -> Step {
        let (Told { at, record, .. }, input) = (told.clone(), told.input.text());
        Err(Box::new(Difference { at, record, input, action: self.actions, expected, found }))
    }

    fn panics(&self, panic: &(dyn Any + Send)) -> Box<Difference> {
        let owned = panic.downcast_ref::<String>().map(String::as_str);
        let message =
            owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let (Told { at, record, .. }, input) = (self.told.clone(), self.told.input.text());
        let (expected, found) = ("no panic".to_owned(), format!("a panic: {message}"));
        Box::new(Difference { at, record, input, action: self.actions, expected, found })
    }

    /// Judges what is left at the end. Of a log that was cut short the last actions may be missing.
    fn end(&mut self, ending: Option<Ending>) -> Verdict {
        match ending {
            Some(Ending::Complete) => match self.nothing_waits() {
                Err(difference) => Verdict::Differs(difference),
                Ok(()) => Verdict::Same,
            },
            Some(Ending::Open | Ending::Torn { .. }) | None => Verdict::Same,
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.len() >= self.trace_max {
            self.trace.pop_front();
        }
        if self.trace_max > 0 {
            self.trace.push_back(line());
        }
    }
}

type Step = Result<(), Box<Difference>>;

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Dial { .. } => "Dial",
        Action::Send { .. } => "Send",
        Action::Close { .. } => "Close",
        Action::Job(_) => "Job",
        Action::Notify(_) => "Notify",
    }
}
