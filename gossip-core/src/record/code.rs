//! How values are written and read. Each type is listed once, in `values.rs`.
//!
//! Numbers are LEB128, sequences begin with their length, variants with a number that is never
//! used for another. What is read is bounded by the bytes that are there.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::{fmt, time::Duration};

use bytes::{Buf as _, Bytes};

use super::Digest;
use crate::{Endpoint, Instant, UnixTime};

/// Takes what is written: a buffer, or a hash of it.
pub(crate) trait Sink {
    fn number(&mut self, number: u64);
    /// Takes bytes, with their length before them.
    fn bytes(&mut self, bytes: &[u8]);
    /// Takes bytes that others may have, too.
    fn shared(&mut self, bytes: &Bytes) {
        self.bytes(bytes);
    }
}

impl Sink for Vec<u8> {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }
}

impl Sink for Digest {
    fn number(&mut self, number: u64) {
        self.word(number);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        Self::bytes(self, bytes);
    }
}

/// A hash that takes hashes of shared bytes in place of the bytes.
pub(crate) struct Told<'a, F> {
    pub(crate) digest: &'a mut Digest,
    pub(crate) hash_of: F,
}

impl<F: FnMut(&Bytes) -> u64> Sink for Told<'_, F> {
    fn number(&mut self, number: u64) {
        self.digest.word(number);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.digest.bytes(bytes);
    }

    fn shared(&mut self, bytes: &Bytes) {
        self.digest.word((self.hash_of)(bytes));
    }
}

/// What can be written.
pub(crate) trait Put {
    fn put(&self, out: &mut impl Sink);
}

/// What can be read.
pub(crate) trait Take: Sized {
    fn take(from: &mut Source) -> Result<Self, Malformed>;
}

/// What has variants, by their names.
pub(crate) trait Named {
    fn name(&self) -> &'static str;
}

/// What is read from: the rest of a record.
#[derive(Debug)]
pub(crate) struct Source(Bytes);

impl Source {
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.0.try_get_u8().map_err(|_| Malformed::EndsEarly)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed::NumberTooLarge)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed::EndsEarly)?;
        match len <= self.0.len() {
            true => Ok(self.0.split_to(len)),
            false => Err(Malformed::EndsEarly),
        }
    }

    /// Reads a value that all of the rest belongs to.
    pub(crate) fn only<T: Take>(mut self) -> Result<T, Malformed> {
        let value = T::take(&mut self)?;
        match self.0.len() {
            0 => Ok(value),
            bytes => Err(Malformed::LeftOver { bytes }),
        }
    }
}

/// A part of a log that is not what it should be, though its checksum holds.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Malformed {
    /// A value ends before it is complete.
    EndsEarly,
    /// A number is larger than its place takes.
    NumberTooLarge,
    /// A text is not UTF-8.
    NotText,
    /// A variant that this version does not know.
    UnknownVariant {
        /// The type's name.
        of: &'static str,
        /// The variant's number.
        number: u64,
    },
    /// More bytes than the value has.
    LeftOver {
        /// How many.
        bytes: usize,
    },
    /// The configuration lacks a field that this version has.
    MissingField(&'static str),
    /// The configuration has a field that this version does not know.
    UnknownField(String),
    /// A field of the configuration has no value that fits.
    BadField(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndsEarly => f.write_str("a value ends early"),
            Self::NumberTooLarge => f.write_str("a number is too large for its place"),
            Self::NotText => f.write_str("a text is not UTF-8"),
            Self::UnknownVariant { of, number } => {
                write!(f, "this version knows no {of} of number {number}")
            }
            Self::LeftOver { bytes } => write!(f, "{bytes} bytes too many"),
            Self::MissingField(name) => write!(f, "the configuration has no field {name}"),
            Self::UnknownField(name) => {
                write!(f, "this version knows no field {name:?} of the configuration")
            }
            Self::BadField(name) => write!(f, "field {name} of the configuration has no value"),
        }
    }
}

impl core::error::Error for Malformed {}

/// Lists a type's variants, so that they can be written: number, name, fields.
macro_rules! put {
    ($type:ident { $($number:literal $variant:ident
        $({ $($field:ident),+ $(,)? })? $(( $inner:ident ))?),+ $(,)? }) => {
        impl $crate::record::code::Put for $type {
            fn put(&self, out: &mut impl $crate::record::code::Sink) {
                match self {
                    $(Self::$variant $({ $($field),+ })? $(( $inner ))? => {
                        out.number($number);
                        $($($crate::record::code::Put::put($field, out);)+)?
                        $($crate::record::code::Put::put($inner, out);)?
                    })+
                }
            }
        }

        impl $crate::record::code::Named for $type {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant)),+
                }
            }
        }
    };
}

/// Lists a type's variants, so that they can be read.
macro_rules! take {
    ($type:ident { $($number:literal $variant:ident
        $({ $($field:ident),+ $(,)? })? $(( $inner:ident ))?),+ $(,)? }) => {
        impl $crate::record::code::Take for $type {
            fn take(
                from: &mut $crate::record::code::Source,
            ) -> Result<Self, $crate::record::Malformed> {
                match from.number()? {
                    $($number => {
                        $($(let $field = $crate::record::code::Take::take(from)?;)+)?
                        $(let $inner = $crate::record::code::Take::take(from)?;)?
                        Ok(Self::$variant $({ $($field),+ })? $(( $inner ))?)
                    })+
                    number => {
                        let of = stringify!($type);
                        Err($crate::record::Malformed::UnknownVariant { of, number })
                    }
                }
            }
        }
    };
}

/// Lists a type's variants, so that they can be written and read.
macro_rules! code {
    ($($variants:tt)+) => {
        put!($($variants)+);
        take!($($variants)+);
    };
}

/// Lists a type's fields, which are written one after the other.
macro_rules! fields {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::record::code::Put for $type {
            fn put(&self, out: &mut impl $crate::record::code::Sink) {
                let Self { $($field),+ } = self;
                $($crate::record::code::Put::put($field, out);)+
            }
        }

        impl $crate::record::code::Take for $type {
            fn take(
                from: &mut $crate::record::code::Source,
            ) -> Result<Self, $crate::record::Malformed> {
                $(let $field = $crate::record::code::Take::take(from)?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
}

/// Lists a type's fields, which are written with their names: a version that has other fields can
/// say which.
macro_rules! named_fields {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::record::code::Put for $type {
            fn put(&self, out: &mut impl $crate::record::code::Sink) {
                let Self { $($field),+ } = self;
                out.number([$(stringify!($field)),+].len() as u64);
                $({
                    let mut value = alloc::vec::Vec::new();
                    $crate::record::code::Put::put($field, &mut value);
                    out.bytes(stringify!($field).as_bytes());
                    out.bytes(&value);
                })+
            }
        }

        impl $crate::record::code::Take for $type {
            fn take(
                from: &mut $crate::record::code::Source,
            ) -> Result<Self, $crate::record::Malformed> {
                let mut fields = $crate::record::code::Fields::take(from)?;
                let value = Self { $($field: fields.value(stringify!($field))?),+ };
                fields.none_left()?;
                Ok(value)
            }
        }
    };
}

pub(super) use {code, fields, named_fields, put, take};

/// Fields that were read and not yet asked for.
pub(crate) struct Fields(Vec<(String, Bytes)>);

impl Fields {
    pub(crate) fn take(from: &mut Source) -> Result<Self, Malformed> {
        Vec::take(from).map(Self)
    }

    pub(crate) fn value<T: Take>(&mut self, name: &'static str) -> Result<T, Malformed> {
        let found = self.0.iter().position(|(field, _)| field == name);
        let (_, value) = self.0.swap_remove(found.ok_or(Malformed::MissingField(name))?);
        // An error inside, of the limits, names the field that it is about.
        Source::new(value).only().map_err(|error| match error {
            Malformed::MissingField(_) | Malformed::UnknownField(_) | Malformed::BadField(_) => {
                error
            }
            _ => Malformed::BadField(name),
        })
    }

    pub(crate) fn none_left(mut self) -> Result<(), Malformed> {
        match self.0.pop() {
            Some((name, _)) => Err(Malformed::UnknownField(name)),
            None => Ok(()),
        }
    }
}

impl Put for u64 {
    fn put(&self, out: &mut impl Sink) {
        out.number(*self);
    }
}

impl Take for u64 {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        from.number()
    }
}

/// Types that are written as another.
macro_rules! via {
    ($($type:ty: $other:ty, $to:expr, $back:expr;)+) => {$(
        impl Put for $type {
            fn put(&self, out: &mut impl Sink) {
                let to: fn(&$type) -> $other = $to;
                to(self).put(out);
            }
        }

        impl Take for $type {
            fn take(from: &mut Source) -> Result<Self, Malformed> {
                let back: fn($other) -> Result<$type, Malformed> = $back;
                back(Take::take(from)?)
            }
        }
    )+};
}

fn fit<A: TryInto<B>, B>(value: A) -> Result<B, Malformed> {
    value.try_into().map_err(|_| Malformed::NumberTooLarge)
}

via! {
    u32: u64, |number| u64::from(*number), fit;
    usize: u64, |number| *number as u64, fit;
    bool: u64, |yes| u64::from(*yes), |number| match number {
        0 => Ok(false),
        1 => Ok(true),
        number => Err(Malformed::UnknownVariant { of: "bool", number }),
    };
    Instant: u64, |at| at.as_nanos(), |nanos| Ok(Self::from_nanos(nanos));
    UnixTime: u64, |at| at.as_nanos(), |nanos| Ok(Self::from_nanos(nanos));
    Duration: (u64, u32), |time| (time.as_secs(), time.subsec_nanos()), |(secs, nanos)| {
        match nanos < 1_000_000_000 {
            true => Ok(Self::new(secs, nanos)),
            false => Err(Malformed::NumberTooLarge),
        }
    };
}

impl Put for str {
    fn put(&self, out: &mut impl Sink) {
        out.bytes(self.as_bytes());
    }
}

impl Put for String {
    fn put(&self, out: &mut impl Sink) {
        self.as_str().put(out);
    }
}

impl Take for String {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        Self::from_utf8(from.bytes()?.into()).map_err(|_| Malformed::NotText)
    }
}

impl Put for Cow<'static, str> {
    fn put(&self, out: &mut impl Sink) {
        out.bytes(self.as_bytes());
    }
}

impl Take for Cow<'static, str> {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        String::take(from).map(Self::Owned)
    }
}

impl Put for Endpoint {
    fn put(&self, out: &mut impl Sink) {
        self.as_str().put(out);
    }
}

impl Take for Endpoint {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        let text = from.bytes()?;
        core::str::from_utf8(&text).map(Self::from).map_err(|_| Malformed::NotText)
    }
}

impl Put for Bytes {
    fn put(&self, out: &mut impl Sink) {
        out.shared(self);
    }
}

impl Take for Bytes {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        from.bytes()
    }
}

impl Put for [u8; 32] {
    fn put(&self, out: &mut impl Sink) {
        out.bytes(self);
    }
}

impl Take for [u8; 32] {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        from.bytes()?.as_ref().try_into().map_err(|_| Malformed::EndsEarly)
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut impl Sink) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
}

impl<T: Take> Take for Option<T> {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<T: Put> Put for Vec<T> {
    fn put(&self, out: &mut impl Sink) {
        out.number(self.len() as u64);
        self.iter().for_each(|item| item.put(out));
    }
}

/// Grows with what is read: nothing is reserved for a length that is only claimed.
impl<T: Take> Take for Vec<T> {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        let count = from.number()?;
        (0..count).map(|_| T::take(from)).collect::<Result<_, _>>()
    }
}

impl<A: Put, B: Put> Put for (A, B) {
    fn put(&self, out: &mut impl Sink) {
        self.0.put(out);
        self.1.put(out);
    }
}

impl<A: Take, B: Take> Take for (A, B) {
    fn take(from: &mut Source) -> Result<Self, Malformed> {
        Ok((A::take(from)?, B::take(from)?))
    }
}
