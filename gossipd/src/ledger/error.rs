//! Why a channel's blocks cannot be used.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::store::FORMAT;

/// A store that cannot be used, or not like this.
#[derive(Clone, Debug)]
pub(crate) struct StoreError {
    path: PathBuf,
    pub(crate) problem: Problem,
}

/// What is wrong with a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// What should be there is not, or is something else.
    Damaged(String),
    /// The file is no store.
    Foreign,
    /// The file was written by a version with another format.
    Format(u64),
    /// Another process appends to it.
    InUse,
    /// The system refused something.
    Io(String),
    /// A process was killed while it had the store open.
    Unclean,
    /// A block does not belong after the last one; what was expected.
    Unfit(String),
}

impl StoreError {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem }
    }

    /// Makes an error of what redb says.
    pub(crate) fn of(path: &Path, error: redb::Error) -> Self {
        let problem = match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Problem::InUse,
            redb::Error::RepairAborted => Problem::Unclean,
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Problem::Foreign
            }
            redb::Error::UpgradeRequired(_)
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. } => Problem::Foreign,
            redb::Error::Corrupted(what) => Problem::Damaged(what),
            other => Problem::Io(other.to_string()),
        };
        Self::new(path, problem)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.problem {
            Problem::Damaged(what) => write!(f, "damaged: {what}; {REPLACE}"),
            Problem::Foreign => write!(f, "expected the blocks of a channel, found another file"),
            Problem::Format(found) => write!(
                f,
                "expected format {FORMAT}, found {found}: it was written by another version of \
                 gossipd, which must go on with it"
            ),
            Problem::InUse => f.write_str(
                "another process appends to it: end the peer or the import that is running first",
            ),
            Problem::Io(error) => f.write_str(error),
            Problem::Unclean => f.write_str("a process was killed while it was open"),
            Problem::Unfit(expected) => write!(f, "expected {expected}"),
        }
    }
}

impl std::error::Error for StoreError {}

const REPLACE: &str = "move the file away, then begin again with a channel block, or import the \
                       channel's blocks from what another peer exported";
