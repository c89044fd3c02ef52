//! Draws that turn out otherwise than the seed says.

/// A stream of draws.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// What applications do, and when.
    Applications,
    /// What hostile peers do.
    Byzantine,
    /// What befalls frames on their way.
    Frames,
    /// What befalls peers.
    Hosts,
    /// What befalls jobs.
    Jobs,
    /// When orderers make blocks, and of what.
    Orderer,
    /// Which faults strike, and when.
    Plan,
}

impl Stream {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Applications,
        Self::Byzantine,
        Self::Frames,
        Self::Hosts,
        Self::Jobs,
        Self::Orderer,
        Self::Plan,
    ];

    /// Returns the name that the seed of the stream follows from.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::Byzantine => "byzantine",
            Self::Frames => "frames",
            Self::Hosts => "hosts",
            Self::Jobs => "jobs",
            Self::Orderer => "orderer",
            Self::Plan => "plan",
        }
    }
}

/// A draw that turns out otherwise than the seed says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patch {
    /// Of which stream.
    pub stream: Stream,
    /// The number of the draw, from zero; what is never drawn changes nothing.
    pub draw: u32,
    /// Its upper 16 bits: those that decide, whatever is drawn from. The others stay.
    pub top: u16,
}
