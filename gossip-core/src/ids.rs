//! Names of things: peers, organisations, channels, endpoints, connections, requests.

use alloc::{string::String, sync::Arc};
use core::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use bytes::Bytes;

use crate::UnixTime;

/// A peer: the 32-byte hash of its identity that Fabric calls PKI-ID.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PkiId([u8; 32]);

impl PkiId {
    /// Takes the 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a PKI-ID from the wire; `None` unless it has 32 bytes.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first sixteen bytes, as numbers that compare as the bytes do.
    pub(crate) fn words(&self) -> (u64, u64) {
        let (words, _) = self.0.as_chunks::<8>();
        (u64::from_be_bytes(words[0]), u64::from_be_bytes(words[1]))
    }

    /// Copies the bytes into a wire field.
    #[must_use]
    pub fn to_wire(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

/// In the order of the bytes.
impl Ord for PkiId {
    fn cmp(&self, other: &Self) -> Ordering {
        // The first word decides nearly always, and tables of peers are searched all the time.
        self.words().0.cmp(&other.words().0).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for PkiId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for PkiId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // It is a hash itself: half of it is more than enough.
        let (first, second) = self.words();
        state.write_u64(first);
        state.write_u64(second);
    }
}

impl fmt::Debug for PkiId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PkiId({self})")
    }
}

/// Shows the first four bytes in hexadecimal, as Fabric's logs do; `{:#}` shows all.
impl fmt::Display for PkiId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { &self.0[..] } else { &self.0[..4] };
        shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

macro_rules! bytes_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Bytes);

        impl $name {
            /// Takes the bytes.
            #[must_use]
            pub fn new(bytes: impl Into<Bytes>) -> Self {
                Self(bytes.into())
            }

            /// Returns the bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &Bytes {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(Bytes::copy_from_slice(name.as_bytes()))
            }
        }

        /// Names are looked up by the bytes that travelled.
        impl Borrow<[u8]> for $name {
            fn borrow(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0.escape_ascii())
            }
        }
    };
}

bytes_name! {
    /// A channel: its name, as the bytes that travel.
    ChannelId
}

bytes_name! {
    /// An organisation: its MSP identifier, as the bytes that travel.
    OrgId
}

/// A peer's identity as it travels: for Fabric a serialized `msp.SerializedIdentity`.
///
/// Opaque to the node: the [`Crypto`](crate::Crypto) backend says what it means.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Identity(Bytes);

impl Identity {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} bytes)", self.0.len())
    }
}

/// Where a peer listens: `host:port`, as peers write it to each other.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    /// Takes an endpoint as it is written; the driver finds out whether it can be dialled.
    #[must_use]
    pub fn new(endpoint: impl Into<Arc<str>>) -> Self {
        Self(endpoint.into())
    }

    /// Reads an endpoint from the wire, where the empty string means none.
    #[must_use]
    pub fn from_wire(endpoint: &str) -> Option<Self> {
        (!endpoint.is_empty()).then(|| Self(endpoint.into()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part after the last colon as a port, `None` if it is not one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.rsplit_once(':')?.1.parse().ok()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Endpoint {
    fn from(endpoint: &str) -> Self {
        Self(endpoint.into())
    }
}

impl From<String> for Endpoint {
    fn from(endpoint: String) -> Self {
        Self(endpoint.into())
    }
}

/// A version of a peer's statement about itself: Fabric's `PeerTime`.
///
/// The incarnation decides before the sequence number (D-17).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stamp {
    /// When the speaker started: nanoseconds since the Unix epoch.
    pub incarnation: u64,
    /// Grows with every statement of one incarnation.
    pub sequence: u64,
}

impl Stamp {
    /// Returns the beginning of an incarnation after this one: that of a speaker who starts at
    /// `wall`, unless this one is later.
    pub(crate) fn outdone(self, wall: UnixTime) -> Self {
        let incarnation = wall.as_nanos().max(self.incarnation.saturating_add(1));
        Self { incarnation, sequence: 0 }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// A connection. The driver mints it and uses none twice.
    ConnId
}

impl ConnId {
    /// Names a connection; the driver must not use a number twice.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

number! {
    /// A request of the application, which mints it and uses none twice.
    RequestId
}

impl RequestId {
    /// Names a request; the application must not use a number twice.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

number! {
    /// A dial. The node mints it and uses none twice.
    DialId
}

impl DialId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

number! {
    /// A job. The node mints it and uses none twice.
    JobId
}

impl JobId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}
