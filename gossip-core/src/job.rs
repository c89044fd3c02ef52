//! Work that leaves the node: cryptography and the ledger.

use alloc::{borrow::Cow, string::String, vec::Vec};

use bytes::Bytes;

use crate::{ChannelId, Identity, JobId, OrgId, PkiId, UnixTime};

/// A piece of work, answered at most once: [`complete`](Self::complete) and [`run`](Self::run)
/// consume it.
///
/// A job may be dropped instead: after [`Config::job_timeout`](crate::Config::job_timeout) the
/// node takes it for failed.
#[derive(Debug)]
#[must_use = "a job that is dropped is taken for failed when its time is over"]
pub struct Job {
    id: JobId,
    kind: JobKind,
}

/// Who does a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobClass {
    /// Any thread, in any order.
    Cpu,
    /// One thread, in the order given.
    Ledger,
}

/// What is to be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobKind {
    /// Sign `payload` with the node's own key. Answer: [`Outcome::Signature`].
    Sign {
        /// What to sign.
        payload: Bytes,
    },
    /// Check a signature. Answer: [`Outcome::Accepted`].
    Verify {
        /// Whose signature it must be. It was validated before.
        identity: Identity,
        /// What was signed.
        message: Signed,
        /// A second pair under the same identity: the secret envelope (W-17).
        secret: Option<Signed>,
    },
    /// Validate an identity. Answer: [`Outcome::Identity`].
    ValidateIdentity {
        /// The identity as it travelled.
        identity: Identity,
    },
    /// Check a signature, and that its identity may read the channel. Answer:
    /// [`Outcome::Accepted`].
    CheckAccess {
        /// The channel whose Readers policy decides.
        channel: ChannelId,
        /// Whose signature it must be. It was validated before.
        identity: Identity,
        /// What was signed.
        message: Signed,
        /// A second pair under the same identity: the secret envelope (W-17).
        secret: Option<Signed>,
    },
    /// Verify a block as the orderers signed it. Answer: [`Outcome::Accepted`].
    VerifyBlock {
        /// The channel that it claims.
        channel: ChannelId,
        /// The number that it claims.
        number: u64,
        /// The serialized `common.Block`.
        block: Bytes,
    },
    /// Append a verified block to the ledger. Answer: [`Outcome::Accepted`].
    ///
    /// Blocks of one channel come in order, one at a time.
    Commit {
        /// The channel.
        channel: ChannelId,
        /// The block's number: the ledger's height.
        number: u64,
        /// The serialized `common.Block`.
        block: Bytes,
    },
    /// Read blocks of the ledger for another peer. Answer: [`Outcome::Blocks`].
    ReadBlocks {
        /// The channel.
        channel: ChannelId,
        /// The number of the first block; the ledger had it when it was asked for.
        first: u64,
        /// The number of the last one.
        last: u64,
        /// How many bytes are of use, but for one block.
        bytes_max: usize,
    },
}

/// Bytes and the signature over them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Signed {
    /// What was signed.
    pub payload: Bytes,
    /// The signature: for Fabric ASN.1 DER ECDSA with low S over SHA-256.
    pub signature: Bytes,
}

/// What came of a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It holds, or it is done.
    Accepted,
    /// The signature that was asked for.
    Signature(Bytes),
    /// What the identity means.
    Identity(IdentityFacts),
    /// Serialized blocks with their numbers, ascending.
    Blocks(Vec<(u64, Bytes)>),
    /// It does not hold: this may be held against whoever claimed it.
    Rejected(Cow<'static, str>),
    /// Nobody knows: the pool was full, the key unreachable. Held against nobody.
    Failed(Cow<'static, str>),
}

/// What a valid identity means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityFacts {
    /// The PKI-ID of these bytes.
    pub pki_id: PkiId,
    /// The organisation that vouches for it.
    pub org: OrgId,
    /// When it expires, `None` if never.
    pub expires_at: Option<UnixTime>,
}

/// An answered job, to be given back with [`Event::JobDone`](crate::Event::JobDone).
#[derive(Debug)]
pub struct Completion {
    pub(crate) id: JobId,
    pub(crate) outcome: Outcome,
}

impl Completion {
    /// Returns the name of the job that was answered, for logs.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.id
    }

    /// Returns what came of it.
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Job {
    pub(crate) const fn new(id: JobId, kind: JobKind) -> Self {
        Self { id, kind }
    }

    /// Returns the job's name, for logs.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// Returns what is to be done.
    #[must_use]
    pub const fn kind(&self) -> &JobKind {
        &self.kind
    }

    /// Returns who should do it.
    #[must_use]
    pub const fn class(&self) -> JobClass {
        match self.kind {
            JobKind::Sign { .. }
            | JobKind::Verify { .. }
            | JobKind::ValidateIdentity { .. }
            | JobKind::CheckAccess { .. }
            | JobKind::VerifyBlock { .. } => JobClass::Cpu,
            JobKind::Commit { .. } | JobKind::ReadBlocks { .. } => JobClass::Ledger,
        }
    }

    /// Answers the job. An outcome of the wrong kind counts as [`Outcome::Failed`].
    #[must_use = "the node waits for it"]
    pub fn complete(self, outcome: Outcome) -> Completion {
        Completion { id: self.id, outcome }
    }

    /// Does the job here and now.
    #[must_use = "the node waits for it"]
    pub fn run(
        self,
        crypto: &(impl Crypto + ?Sized),
        ledger: &(impl Ledger + ?Sized),
    ) -> Completion {
        let outcome = match &self.kind {
            JobKind::Sign { payload } => crypto.sign(payload).map(Outcome::Signature),
            JobKind::Verify { identity, message, secret } => crypto
                .verify(identity, message)
                .and_then(|()| secret.iter().try_for_each(|part| crypto.verify(identity, part)))
                .map(|()| Outcome::Accepted),
            JobKind::ValidateIdentity { identity } => {
                crypto.validate_identity(identity).map(Outcome::Identity)
            }
            JobKind::CheckAccess { channel, identity, message, secret } => crypto
                .check_access(channel, identity, message)
                .and_then(|()| secret.iter().try_for_each(|part| crypto.verify(identity, part)))
                .map(|()| Outcome::Accepted),
            JobKind::VerifyBlock { channel, number, block } => {
                crypto.verify_block(channel, *number, block).map(|()| Outcome::Accepted)
            }
            JobKind::Commit { channel, number, block } => {
                ledger.commit(channel, *number, block).map(|()| Outcome::Accepted)
            }
            JobKind::ReadBlocks { channel, first, last, bytes_max } => {
                ledger.read_blocks(channel, *first, *last, *bytes_max).map(Outcome::Blocks)
            }
        };
        self.complete(outcome.unwrap_or_else(Outcome::from))
    }
}

/// Why a job was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobError {
    /// It does not hold: see [`Outcome::Rejected`].
    Rejected(Cow<'static, str>),
    /// Nobody knows: see [`Outcome::Failed`].
    Failed(Cow<'static, str>),
}

impl JobError {
    /// A rejection with a reason for people.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected(Cow::Owned(reason.into()))
    }

    /// A failure with a reason for people.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(Cow::Owned(reason.into()))
    }
}

impl From<JobError> for Outcome {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Rejected(reason) => Self::Rejected(reason),
            JobError::Failed(reason) => Self::Failed(reason),
        }
    }
}

/// Signs and checks: Fabric's message crypto service. Called from any thread.
pub trait Crypto {
    /// Signs with the node's own key.
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError>;

    /// Checks one signature under an identity that was validated before.
    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError>;

    /// Says what an identity means, if it is valid. Expiry is left to the node (C11.2.b).
    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError>;

    /// Checks one signature and that its identity may read the channel.
    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError>;

    /// Verifies a block of a channel: number, channel, hashes and the orderers' signatures.
    fn verify_block(&self, channel: &ChannelId, number: u64, block: &Bytes)
    -> Result<(), JobError>;
}

/// Keeps the blocks. Called from one thread, in order.
pub trait Ledger {
    /// Appends a block whose number is the channel's height.
    ///
    /// A block is given again when the answer to it was lost: one that the ledger has already is
    /// no error.
    fn commit(&self, channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError>;

    /// Returns the blocks `first..=last` with their numbers, ascending, as they were committed.
    ///
    /// Blocks that are not there are left out, as are those after the first that brings the sum to
    /// `bytes_max` or more. A ledger that keeps no blocks fails, which others are told by an empty
    /// answer.
    fn read_blocks(
        &self,
        channel: &ChannelId,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        let _ = (channel, first, last, bytes_max);
        Err(JobError::failed("this ledger keeps no blocks"))
    }
}
