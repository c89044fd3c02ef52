//! Asking a running peer.

use std::{
    env,
    error::Error,
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde::Deserialize;

use crate::config::{self, Settings};

use super::{
    Args, PEERS, default_path,
    status::{ANSWER_TIMEOUT, Status},
};

/// Asks the peer that runs on this machine whom it knows, and prints it.
///
/// # Errors
///
/// If no peer answers, with what to try; or if the configuration cannot be used.
pub(crate) fn run(args: &Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    let path = match &args.admin_socket {
        Some(path) => path.clone(),
        None => {
            let search = env::var_os("FABRIC_CFG_PATH");
            let file = config::find(args.config.as_deref(), search.as_deref())?;
            default_path(&Settings::load(&file, config::environment())?)
        }
    };
    let line = ask(&path, PEERS)?;
    let answer = serde_json::from_str(&line).map_err(|error| {
        format!("{}: the peer's answer has another form: {error}", path.display())
    })?;
    let status = match answer {
        Answer::Status(status) => status,
        Answer::Error { error } => return Err(format!("{}: {error}", path.display()).into()),
    };
    let text = if args.json { line } else { status.to_string() };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Status(Box<Status>),
    Error { error: String },
}

/// Sends a request and returns the answer, a line.
///
/// # Errors
///
/// If there is no answer in time, with what to try.
pub(super) fn ask(path: &Path, request: &str) -> Result<String, String> {
    let answer = exchange(path, request).map_err(|error| unreachable_peer(path, &error))?;
    match answer.ends_with('\n') {
        true => Ok(answer),
        false => Err(format!("{}: the peer ended in the middle of its answer", path.display())),
    }
}

fn exchange(path: &Path, request: &str) -> io::Result<String> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    socket.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    socket.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn unreachable_peer(path: &Path, error: &io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::NotFound => {
            "is gossipd start running? It makes this socket below peer.fileSystemPath of its \
             core.yaml and CORE_ variables, or where its --admin-socket says"
        }
        ErrorKind::ConnectionRefused => {
            "the peer that made this socket has ended; start gossipd start again"
        }
        ErrorKind::PermissionDenied => "ask as the user that runs gossipd start",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            "the peer does not answer: it is overloaded or stopped"
        }
        _ => "expected the socket of a gossipd start",
    };
    format!("no peer answers at {}: {error}: {hint}", path.display())
}

/// Bytes of the longest answer that is taken: some hundred bytes for each of 100,000 peers.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
