//! Values as operators write them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::keys::{Key, Kind, Zero};

/// What a key is set to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Any,
    Bool(bool),
    Duration(Duration),
    Int(u64),
    List(Vec<String>),
    Path(PathBuf),
    Paths(Vec<PathBuf>),
    Text(String),
}

impl Value {
    /// Reads what was written for a key, one text or several; paths are relative to `folder`.
    ///
    /// # Errors
    ///
    /// Says what was expected and what was found.
    pub(crate) fn read(key: &Key, written: &Written, folder: &Path) -> Result<Self, String> {
        let value = match (key.kind, written) {
            (Kind::Any, _) => return Ok(Self::Any),
            (_, Written::Other) => return Err(expected(key.kind, "a nested structure")),
            (Kind::List, Written::List(texts)) => Self::List(texts.clone()),
            (Kind::List, Written::Text(text)) => Self::List(words(text)),
            (Kind::Paths, Written::List(texts)) => Self::Paths(resolve_all(folder, texts)),
            (Kind::Paths, Written::Text(text)) => Self::Paths(resolve_all(folder, &words(text))),
            (kind, Written::List(_)) => return Err(expected(kind, "a list")),
            (_, Written::Text(text))
                if key.zero == Zero::HonouredUnlessNegative && is_negative(text) =>
            {
                return Ok(Self::unset(key, folder));
            }
            (kind, Written::Text(text)) => {
                let value = read_text(kind, text, folder);
                value.ok_or_else(|| expected(kind, &format!("{text:?}")))?
            }
        };
        match value {
            Self::Duration(time) if !time.is_zero() && time < DURATION_MIN => Err(format!(
                "expected a duration of at least {DURATION_MIN:?}, found {time:?}: a number \
                 without a unit counts nanoseconds"
            )),
            value if key.zero == Zero::Default && value.is_zero() => Ok(Self::unset(key, folder)),
            value => Ok(value),
        }
    }

    /// Returns what holds where a key is absent.
    pub(crate) fn unset(key: &Key, folder: &Path) -> Self {
        match key.kind {
            Kind::Any => Self::Any,
            Kind::List => Self::List(words(key.unset)),
            Kind::Paths => Self::Paths(resolve_all(folder, &words(key.unset))),
            kind => read_text(kind, key.unset, folder).expect("the table's own values can be read"),
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Int(0) | Self::Duration(Duration::ZERO))
    }
}

/// What stands in the file or the environment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Written {
    List(Vec<String>),
    /// A list of lists or mappings.
    Other,
    Text(String),
}

fn read_text(kind: Kind, text: &str, folder: &Path) -> Option<Value> {
    Some(match kind {
        Kind::Bool => Value::Bool(parse_bool(text)?),
        Kind::Duration => Value::Duration(parse_duration(text)?),
        Kind::Int if text.is_empty() => Value::Int(0),
        Kind::Int => Value::Int(text.parse().ok().filter(|&number| number <= INT_MAX)?),
        Kind::Path => Value::Path(resolve(folder, text)),
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Any | Kind::List | Kind::Paths => return None,
    })
}

fn is_negative(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(i64::is_negative)
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a duration in Go's notation (C1.3.a), which here may not be negative.
///
/// A bare number counts nanoseconds; the empty text is zero.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        let nanos = if rest.is_empty() { 0 } else { rest.parse().ok()? };
        return Some(Duration::from_nanos(nanos)).filter(|_| text != "+");
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(end);
        let unit_end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, after) = unit.split_at(unit_end);
        let nanos = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(scale(number, nanos)?)?;
        rest = after;
    }
    let nanos = u64::try_from(total).ok().filter(|&nanos| nanos <= INT_MAX)?;
    Some(Duration::from_nanos(nanos))
}

/// Multiplies a decimal number by a unit, without rounding up what is below a nanosecond.
fn scale(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (mut part, mut divisor) = (0, 1);
    // Digits beyond these are below a nanosecond whatever the unit.
    for digit in fraction.bytes().take(FRACTION_DIGITS_MAX) {
        part = part * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    let unit = u128::from(unit);
    Some(u128::from(whole) * unit + part * unit / divisor)
}

fn resolve(folder: &Path, path: &str) -> PathBuf {
    match path {
        "" => PathBuf::new(),
        path => folder.join(path),
    }
}

fn resolve_all(folder: &Path, paths: &[String]) -> Vec<PathBuf> {
    paths.iter().filter(|path| !path.is_empty()).map(|path| resolve(folder, path)).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn expected(kind: Kind, found: &str) -> String {
    let kind = match kind {
        Kind::Any => "anything",
        Kind::Bool => "true or false",
        Kind::Duration => "a duration such as 4s, 500ms or 1m30s, not negative",
        Kind::Int => "a whole number, not negative",
        Kind::List => "a list of texts",
        Kind::Path => "a path",
        Kind::Paths => "a list of paths",
        Kind::Text => "a text",
    };
    format!("expected {kind}, found {found}")
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1000),
    ("µs", 1000),
    ("μs", 1000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Go's integers and durations have 63 bits.
const INT_MAX: u64 = i64::MAX as u64;

/// No key makes sense below; a forgotten unit does that.
const DURATION_MIN: Duration = Duration::from_millis(1);

/// An hour has 3.6e12 nanoseconds.
const FRACTION_DIGITS_MAX: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("", 0),
            ("0", 0),
            ("4000000", 4_000_000),
            ("4s", 4_000_000_000),
            ("+4s", 4_000_000_000),
            ("1500ms", 1_500_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("1h0.000000001s", 3_600_000_000_001),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_or_is_negative_is_no_duration() {
        let endless = "9".repeat(40);
        for text in ["-4s", "4 s", "4x", "s", ".s", "1.2.3s", "+", "-", "3s4", " 4s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration(&endless), None);
        assert_eq!(parse_duration(&format!("{endless}h")), None);
        assert_eq!(parse_duration("2562048h"), None, "more than 63 bits of nanoseconds");
    }

    #[test]
    fn booleans_are_read_as_go_reads_them() {
        let yes = ["1", "t", "T", "TRUE", "true", "True"];
        let no = ["", "0", "f", "F", "FALSE", "false", "False"];
        assert!(yes.into_iter().all(|text| parse_bool(text) == Some(true)));
        assert!(no.into_iter().all(|text| parse_bool(text) == Some(false)));
        assert!(["yes", "on", "tRUE", " true"].into_iter().all(|text| parse_bool(text).is_none()));
    }
}
