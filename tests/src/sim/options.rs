//! What a run is made of: the seed, the size and the faults.

use std::{fmt, str::FromStr, time::Duration};

use gossip_core::Limits;

use super::patch::Patch;

/// What a run is made of. The same options give the same run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many peers there are, dealt to the organisations in turn.
    pub peers: usize,
    /// How many organisations there are.
    pub orgs: usize,
    /// Whether membership is learnt once, at the start, and then held.
    pub is_static: bool,
    /// How long faults strike before all is healed.
    pub duration: Duration,
    /// Which faults may strike.
    pub faults: Faults,
    /// What identities and signatures are made of.
    pub scheme: Scheme,
    /// By when all must be well after the faults, instead of the bound that follows from the
    /// configuration.
    pub bound: Option<Duration>,
    /// How many lines are written of what happened before a failure.
    pub trace: usize,
    /// Whether samples are kept for pictures. The run is the same.
    pub samples: bool,
    /// The name of the peer whose node is recorded, if one is. The run is the same.
    pub record: Option<String>,
    /// The mean pause between two blocks of the orderers, over all channels.
    pub block_interval: Duration,
    /// What bounds every node.
    pub limits: Limits,
    /// Whether applications do something of their own accord, unless membership is static.
    pub has_applications: bool,
    /// Draws that turn out otherwise than the seed says.
    pub patches: Vec<Patch>,
}

impl Options {
    /// Takes 16 peers of two organisations, ten minutes and no faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            peers: 16,
            orgs: 2,
            is_static: false,
            duration: Duration::from_secs(600),
            faults: Faults::NONE,
            scheme: Scheme::Mac,
            bound: None,
            trace: 60,
            samples: false,
            record: None,
            block_interval: Duration::from_secs(1),
            limits: Limits::default(),
            has_applications: true,
            patches: Vec::new(),
        }
    }

    /// Says whether applications do something: not where all but blocks rests.
    #[must_use]
    pub const fn applications_act(&self) -> bool {
        self.has_applications && !self.is_static
    }

    /// Checks that a world can be made of this.
    ///
    /// # Errors
    ///
    /// If there are no peers, no organisations or more of these than peers, or faults where
    /// membership is not kept up.
    pub fn check(&self) -> Result<(), String> {
        let Self { peers, orgs, .. } = *self;
        if orgs == 0 || peers < orgs {
            return Err(format!(
                "{peers} peers of {orgs} organisations: expected at least one organisation and no \
                 fewer peers"
            ));
        }
        if self.is_static && self.faults != Faults::NONE {
            let faults = self.faults;
            return Err(format!("faults {faults} on a static membership: expected none"));
        }
        if self.peers > 10_000 {
            return Err(format!("{} peers: expected at most 10000", self.peers));
        }
        Ok(())
    }
}

/// What identities and signatures are made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Keyed hashes: they cost little.
    Mac,
    /// X.509 certificates and ECDSA on P-256, as the daemon judges them: for small runs.
    P256,
}

impl FromStr for Scheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mac" => Ok(Self::Mac),
            "p256" => Ok(Self::P256),
            _ => Err(format!("{text:?}: expected mac or p256")),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mac => "mac",
            Self::P256 => "p256",
        })
    }
}

macro_rules! fault_classes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A class of faults.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum FaultClass {
            $($(#[$doc])* $name),+
        }

        impl FaultClass {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the name that options use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

fault_classes! {
    /// Latencies differ by link and by frame, up to 300 ms.
    Latency = "latency",
    /// A connection breaks.
    Cut = "cut",
    /// One direction of a connection stands still for up to 30 s.
    Stall = "stall",
    /// Frames arrive twice or again later.
    Replay = "replay",
    /// Some peers do not reach the others, in both directions or in one, for up to two minutes.
    Partition = "partition",
    /// A peer crashes and starts again, with its ledger or without.
    Crash = "crash",
    /// A peer does nothing for up to 40 s.
    Pause = "pause",
    /// Jobs are answered late, with a failure or never.
    Jobs = "jobs",
    /// Wall clocks are up to an hour off and run up to 1 % too fast or slow; one jumps.
    Clock = "clock",
    /// Certificates expire; their peers start again with others.
    Expiry = "expiry",
    /// A certificate is revoked; its peer starts again with another.
    Revoke = "revoke",
    /// Some peers mutate, forge, replay, flood, boast, equivocate and withhold.
    Byzantine = "byzantine",
    /// A peer leaves a channel, and joins it again later.
    Leave = "leave",
}

/// A set of classes of faults.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults(u32);

impl Faults {
    /// No class.
    pub const NONE: Self = Self(0);

    /// Returns every class.
    #[must_use]
    pub fn all() -> Self {
        FaultClass::ALL.iter().copied().collect()
    }

    /// Says whether a class is among them.
    #[must_use]
    pub const fn has(self, class: FaultClass) -> bool {
        self.0 & (1 << class as u32) != 0
    }

    /// Iterates over the classes.
    pub fn iter(self) -> impl Iterator<Item = FaultClass> {
        FaultClass::ALL.iter().copied().filter(move |class| self.has(*class))
    }
}

impl FromIterator<FaultClass> for Faults {
    fn from_iter<I: IntoIterator<Item = FaultClass>>(classes: I) -> Self {
        Self(classes.into_iter().fold(0, |set, class| set | 1 << class as u32))
    }
}

/// Reads `all`, `none` or names with commas between them.
impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::all()),
            "none" => Ok(Self::NONE),
            list => list.split(',').map(class_named).collect(),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("none"),
            faults if faults == Self::all() => f.write_str("all"),
            faults => {
                let names: Vec<_> = faults.iter().map(FaultClass::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

fn class_named(name: &str) -> Result<FaultClass, String> {
    let classes = FaultClass::ALL.iter();
    let names =
        || FaultClass::ALL.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
    classes
        .copied()
        .find(|class| class.as_str() == name)
        .ok_or_else(|| format!("{name:?} is no fault; expected all, none or a list of {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_read_as_they_are_written() {
        for scheme in [Scheme::Mac, Scheme::P256] {
            assert_eq!(scheme.to_string().parse(), Ok(scheme));
        }
        assert_eq!("rsa".parse::<Scheme>(), Err("\"rsa\": expected mac or p256".into()));
    }

    #[test]
    fn faults_are_read_as_they_are_written() {
        for text in ["all", "none", "cut", "stall,crash"] {
            assert_eq!(text.parse::<Faults>().expect("faults").to_string(), text);
        }
        let error = "crash,fire".parse::<Faults>().expect_err("no such fault");
        assert!(error.contains("\"fire\"") && error.contains("latency"), "{error}");
    }
}
