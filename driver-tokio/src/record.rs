//! Records what a node is told and does, so that its run can be repeated elsewhere.
//!
//! The node's task writes into a buffer, a thread of its own moves that to the file. What cannot
//! be written ends the recording, with one error in the log, and never the node.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use gossip_core::{
    Action, Command, CommandError, Config, Event, Instant,
    record::{RecordTooLarge, Writer},
};
use tokio::sync::oneshot;
use tracing::error;

/// Where the log of one node goes: its format is that of [`gossip_core::record`].
///
/// **The log is as confidential as the peer's traffic**: it holds all frames that came to the peer,
/// private data among them. It grows without bound, with what the peer receives and a little more.
pub struct Recording {
    name: String,
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
}

impl Recording {
    /// Creates a file that only its owner can read. If there is one of that name, which may be the
    /// log of a run that went wrong, `.1`, `.2` or the next free number is appended.
    ///
    /// # Errors
    ///
    /// If no file can be created there.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        for number in 0..NAMES_MAX {
            let mut name = path.as_os_str().to_owned();
            if number > 0 {
                name.push(format!(".{number}"));
            }
            match create_private(Path::new(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => {
                    let path = PathBuf::from(name);
                    let recording = Self::to(path.display().to_string(), file?);
                    return Ok(Self { path: Some(path), ..recording });
                }
            }
        }
        let reason = format!("{NAMES_MAX} files of that name exist");
        Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
    }

    /// Writes to anything, which `name` names in errors.
    pub fn to(name: impl Into<String>, out: impl Write + Send + 'static) -> Self {
        Self { name: name.into(), path: None, out: Box::new(out) }
    }

    /// Returns the file that was created, if one was.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Begins the log of a node; `None`, and an error in the log, if that cannot be.
    pub(crate) fn start(self, config: &Config, start: Instant) -> Option<Recorder> {
        let Self { name, out, .. } = self;
        let mut buffer = Vec::new();
        let writer = Writer::new(config, start, &mut buffer)
            .inspect_err(|error| error!(file = name, %error, "nothing is recorded"))
            .ok()?;
        let state = Mutex::new(State { buffer, ..State::default() });
        let shared = Arc::new(Shared { name, state, changed: Condvar::new() });
        let (ending, ended) = oneshot::channel();
        let work = {
            let shared = Arc::clone(&shared);
            move || {
                shared.write_out(out);
                let _ = ending.send(());
            }
        };
        thread::Builder::new()
            .name("gossip-record".to_owned())
            .spawn(work)
            .inspect_err(|error| error!(file = shared.name, %error, "nothing is recorded"))
            .ok()?;
        Some(Recorder { writer: Some(writer), shared, ended })
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The node's end of a recording.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// `None` once the recording has ended.
    writer: Option<Writer>,
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

impl Recorder {
    /// To be told before the node is.
    pub(crate) fn event(&mut self, at: Instant, event: &Event) {
        self.write(|writer, out| writer.event(at, event, out));
    }

    /// To be told before the node is.
    pub(crate) fn command(&mut self, at: Instant, command: &Command) {
        self.write(|writer, out| writer.command(at, command, out));
    }

    /// To be told at once after the command.
    pub(crate) fn refused(&mut self, error: &CommandError) {
        self.write(|writer, out| writer.refused(error, out));
    }

    pub(crate) fn action(&mut self, action: &Action) {
        if let Some(writer) = &mut self.writer {
            writer.action(action);
        }
    }

    /// To be told when the node has no more actions.
    pub(crate) fn no_more_actions(&mut self) {
        self.write(Writer::actions);
    }

    /// Ends the log and waits until it is written.
    pub(crate) async fn end(mut self) {
        if let Some(writer) = self.writer.clone() {
            self.write(|_, out| writer.end(out));
        }
        self.close();
        let _ = (&mut self.ended).await;
    }

    fn write(&mut self, f: impl FnOnce(&mut Writer, &mut Vec<u8>) -> Result<(), RecordTooLarge>) {
        let Some(writer) = &mut self.writer else { return };
        let mut state = self.shared.lock();
        let before = state.buffer.len();
        let result = f(writer, &mut state.buffer);
        let (is_over, after) = (state.is_over, state.buffer.len());
        drop(state);
        let problem = match result {
            Err(error) => error.to_string(),
            Ok(()) if after > BUFFER_BYTES_MAX && before > 0 => {
                format!("{after} bytes wait to be written")
            }
            Ok(()) => {
                let is_enough = |bytes| bytes >= CHUNK_BYTES;
                if (before == 0 && after > 0) || (is_enough(after) && !is_enough(before)) {
                    self.shared.changed.notify_one();
                }
                if is_over {
                    self.close();
                }
                return;
            }
        };
        error!(file = self.shared.name, problem, "the recording ends");
        self.close();
    }

    fn close(&mut self) {
        self.writer = None;
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What waits to be written.
    buffer: Vec<u8>,
    /// Nothing more comes, or nothing more can be written.
    is_over: bool,
}

impl Shared {
    /// Writes what comes until nothing more does.
    fn write_out(&self, mut out: impl Write) {
        let mut chunk = Vec::new();
        while self.next_chunk(&mut chunk) {
            if let Err(error) = out.write_all(&chunk).and_then(|()| out.flush()) {
                error!(file = self.name, %error, "the recording ends: it cannot be written");
                let mut state = self.lock();
                state.is_over = true;
                state.buffer = Vec::new();
                return;
            }
            chunk.clear();
            // One large block must not be held on to.
            chunk.shrink_to(CHUNK_BYTES * 4);
        }
    }

    /// Waits a little for a chunk to fill, and takes it; `false` at the end.
    fn next_chunk(&self, chunk: &mut Vec<u8>) -> bool {
        let wait = |state: &mut State| state.buffer.is_empty() && !state.is_over;
        let state = self.changed.wait_while(self.lock(), wait);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let wait = |state: &mut State| state.buffer.len() < CHUNK_BYTES && !state.is_over;
        let state = self.changed.wait_timeout_while(state, CHUNK_TIME_MAX, wait);
        let (mut state, _) = state.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.buffer, chunk);
        !chunk.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// How many names are tried for a file.
const NAMES_MAX: u32 = 1000;

/// How much is written at once, usually.
const CHUNK_BYTES: usize = 256 << 10;

/// How long it waits for more.
const CHUNK_TIME_MAX: Duration = Duration::from_millis(100);

/// What may wait while a chunk is being written, but for one record.
const BUFFER_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests;
