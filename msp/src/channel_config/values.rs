//! Single values of a configuration: what they may be.

use std::collections::BTreeSet;

use gossip_proto::common::{BlockDataHashingStructure, Capabilities, HashingAlgorithm};
use gossip_proto::orderer::{BatchSize, BatchTimeout};

use crate::channel_config::group::Group;
use crate::error::{ConfigError, shown};
use crate::msp::MspLevel;

/// How far the capabilities of a channel go; each includes those before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Level {
    V1_0,
    V1_1,
    V1_3,
    V1_4_2,
    V1_4_3,
    V2_0,
    V3_0,
}

impl Level {
    /// The highest that capabilities, all of them supported, name.
    pub(crate) fn of(capabilities: &BTreeSet<String>) -> Self {
        let named = CHANNEL.iter().filter(|(name, _)| capabilities.contains(*name));
        named.map(|&(_, level)| level).max().unwrap_or(Self::V1_0)
    }
}

impl From<Level> for MspLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::V1_0 => Self::V1_0,
            Level::V1_1 => Self::V1_1,
            Level::V1_3 | Level::V1_4_2 => Self::V1_3,
            Level::V1_4_3 | Level::V2_0 => Self::V1_4_3,
            Level::V3_0 => Self::V3_0,
        }
    }
}

/// The capabilities of the channel, all of them supported.
pub(crate) fn channel_capabilities(root: &Group<'_>) -> Result<BTreeSet<String>, ConfigError> {
    capabilities(root, |name| CHANNEL.iter().any(|(known, _)| *known == name))
}

/// The capabilities of its peers, all of them supported.
pub(crate) fn application_capabilities(
    application: &Group<'_>,
) -> Result<BTreeSet<String>, ConfigError> {
    capabilities(application, |name| APPLICATION.contains(&name))
}

fn capabilities(
    group: &Group<'_>,
    is_supported: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, ConfigError> {
    let capabilities: Capabilities = group.value("Capabilities")?;
    let named: BTreeSet<_> = capabilities.capabilities.into_keys().collect();
    match named.iter().find(|name| !is_supported(name)) {
        Some(name) => {
            let problem = format!("{:?} is not supported", shown(name));
            Err(group.error("Capabilities", &problem))
        }
        None => Ok(named),
    }
}

/// Refuses ways of hashing blocks that nobody uses.
pub(crate) fn check_hashing(root: &Group<'_>) -> Result<(), ConfigError> {
    let algorithm: HashingAlgorithm = root.value("HashingAlgorithm")?;
    if !["SHA256", "SHA3_256"].contains(&algorithm.name.as_str()) {
        let problem = format!("is {:?}, expected SHA256 or SHA3_256", shown(&algorithm.name));
        return Err(root.error("HashingAlgorithm", &problem));
    }
    let structure: BlockDataHashingStructure = root.value("BlockDataHashingStructure")?;
    if structure.width != u32::MAX {
        let problem = format!("width is {}, expected {}", structure.width, u32::MAX);
        return Err(root.error("BlockDataHashingStructure", &problem));
    }
    Ok(())
}

/// Refuses an ordering service that could not cut blocks.
pub(crate) fn check_batches(orderer: &Group<'_>) -> Result<(), ConfigError> {
    let size: BatchSize = orderer.value("BatchSize")?;
    let numbers = [
        ("max_message_count", size.max_message_count),
        ("absolute_max_bytes", size.absolute_max_bytes),
        ("preferred_max_bytes", size.preferred_max_bytes),
    ];
    if let Some((name, _)) = numbers.iter().find(|(_, number)| *number == 0) {
        return Err(orderer.error("BatchSize", &format!("{name} is 0, expected more")));
    }
    if size.preferred_max_bytes > size.absolute_max_bytes {
        let BatchSize { absolute_max_bytes, preferred_max_bytes, .. } = size;
        let problem = format!(
            "preferred_max_bytes is {preferred_max_bytes}, expected at most absolute_max_bytes, \
             {absolute_max_bytes}"
        );
        return Err(orderer.error("BatchSize", &problem));
    }
    let BatchTimeout { timeout } = orderer.value("BatchTimeout")?;
    match is_positive_duration(&timeout) {
        true => Ok(()),
        false => {
            let problem = format!("is {:?}, expected a duration such as 2s", shown(&timeout));
            Err(orderer.error("BatchTimeout", &problem))
        }
    }
}

/// Whether Go reads this text as a duration of at least a nanosecond: numbers with units, such as
/// `1m30.5s`.
fn is_positive_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0_u64;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(0);
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return false;
        };
        let added = nanos_of(number, *nanos).and_then(|nanos| total.checked_add(nanos));
        let Some(sum) = added.filter(|sum| i64::try_from(*sum).is_ok()) else {
            return false;
        };
        (total, rest) = (sum, tail);
    }
    total > 0
}

/// The nanoseconds of a decimal number of units of `nanos` each, rounded down.
fn nanos_of(number: &str, nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // What is left out after so many digits is less than a nanosecond of the longest unit.
    let digits = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let scale = 10_u128.pow(digits.len() as u32);
    let part = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? };
    let part = u64::try_from(part * u128::from(nanos) / scale).ok()?;
    whole.checked_mul(nanos)?.checked_add(part)
}

/// Go's units of time, in nanoseconds. The micro sign and the letter mu look alike.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

const FRACTION_DIGITS_MAX: usize = 18;

const CHANNEL: [(&str, Level); 6] = [
    ("V1_1", Level::V1_1),
    ("V1_3", Level::V1_3),
    ("V1_4_2", Level::V1_4_2),
    ("V1_4_3", Level::V1_4_3),
    ("V2_0", Level::V2_0),
    ("V3_0", Level::V3_0),
];

const APPLICATION: [&str; 6] = ["V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"];

#[cfg(test)]
mod tests {
    use super::*;

    /// SV-65: a time-out is a positive duration as Go writes them.
    #[test]
    fn durations_are_read_as_go_reads_them() {
        for text in ["2s", "+2s", "100ms", "1h1m1s", "1.5h", ".5s", "1.s", "0s1ns", "5µs", "5μs"]
        {
            assert!(is_positive_duration(text), "{text}");
        }
        for text in
            ["", "0", "0s", "-1s", "1", "s", ".s", "1..5s", "1 s", "1d", "0.1ns", "9999999h", "1s "]
        {
            assert!(!is_positive_duration(text), "{text}");
        }
    }
}
