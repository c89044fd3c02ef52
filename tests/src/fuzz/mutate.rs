//! Damage that knows how protobuf is built: fields are changed, moved, dropped and doubled at any
//! depth, and the lengths around them stay right.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Damages serialized messages: the seed says how. Bytes that are no message are damaged as bytes.
///
/// The result has at most `max` bytes.
#[must_use]
pub fn mutate(bytes: &[u8], seed: u64, max: usize) -> Vec<u8> {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    let mut mutated = match read(bytes, 0).filter(|fields| !fields.is_empty()) {
        Some(mut fields) => {
            for _ in 0..=chance.below(3) {
                let other = pick(&fields, &mut chance).cloned();
                change(&mut fields, other, &mut chance);
            }
            let mut written = Vec::new();
            write(&fields, &mut written);
            written
        }
        None => damaged(bytes, &mut chance),
    };
    mutated.truncate(max);
    mutated
}

/// Flips bits, and cuts or lengthens.
fn damaged(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.byte()),
            2 => bytes.extend_from_within(at..),
            _ if bytes.is_empty() => bytes.push(chance.byte()),
            3 => bytes[at] = chance.byte(),
            _ => bytes[at] ^= 1 << chance.below(8),
        }
    }
    bytes
}

#[derive(Clone, Debug)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    /// Bytes that can be read as a message are taken for one.
    Message(Vec<Field>),
    Fixed32([u8; 4]),
}

fn read(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = take(&mut bytes, len)?;
                let message = Some(inner).filter(|inner| inner.len() > 1 && depth < DEPTH_MAX);
                match message.and_then(|inner| read(inner, depth + 1)) {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(inner.to_vec()),
                }
            }
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        fields.push(Field { number: key >> 3, value });
    }
    fields.iter().all(|field| field.number > 0).then_some(fields)
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, value } in fields {
        let mut key = |kind| push_varint(number << 3 | kind, out);
        match value {
            Value::Varint(number) => {
                key(0);
                push_varint(*number, out);
            }
            Value::Fixed64(bytes) => {
                key(1);
                out.extend(bytes);
            }
            Value::Bytes(bytes) => {
                key(2);
                push_varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Value::Message(fields) => {
                key(2);
                let mut inner = Vec::new();
                write(fields, &mut inner);
                push_varint(inner.len() as u64, out);
                out.extend(inner);
            }
            Value::Fixed32(bytes) => {
                key(5);
                out.extend(bytes);
            }
        }
    }
}

/// Picks a field at any depth.
fn pick<'a>(fields: &'a [Field], chance: &mut Chance) -> Option<&'a Field> {
    let field = fields.get(chance.below(fields.len()))?;
    match &field.value {
        Value::Message(inner) if chance.below(3) > 0 => pick(inner, chance),
        _ => Some(field),
    }
}

/// Changes one field, at any depth, or puts `other` beside or in the place of it.
fn change(fields: &mut Vec<Field>, other: Option<Field>, chance: &mut Chance) {
    let at = chance.below(fields.len());
    if let Some(Field { value: Value::Message(inner), .. }) = fields.get_mut(at)
        && chance.below(4) > 0
    {
        return change(inner, other, chance);
    }
    match (chance.below(8), other) {
        (0, _) if !fields.is_empty() => drop(fields.remove(at)),
        (1, Some(other)) => fields.insert(at, other),
        (2, Some(other)) if !fields.is_empty() => fields[at].value = other.value,
        (3, _) if !fields.is_empty() => fields.push(fields[at].clone()),
        (4, _) if !fields.is_empty() => fields[at].number = 1 + chance.below(26) as u64,
        _ => {
            if let Some(field) = fields.get_mut(at) {
                change_value(&mut field.value, chance);
            }
        }
    }
}

fn change_value(value: &mut Value, chance: &mut Chance) {
    match value {
        Value::Varint(number) => *number = chance.number(*number),
        Value::Fixed64(bytes) => bytes[chance.below(8)] = chance.byte(),
        Value::Fixed32(bytes) => bytes[chance.below(4)] = chance.byte(),
        Value::Bytes(bytes) => *bytes = damaged(bytes, chance),
        Value::Message(fields) => {
            let mut bytes = Vec::new();
            write(fields, &mut bytes);
            *value = Value::Bytes(damaged(&bytes, chance));
        }
    }
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn byte(&mut self) -> u8 {
        self.0.next_u32() as u8
    }

    /// Draws from `0..bound`; zero if `bound` is.
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound.max(1)
    }

    fn number(&mut self, old: u64) -> u64 {
        match self.below(6) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            2 => u64::MAX >> self.below(64),
            3 => 1 << self.below(64),
            4 => 0,
            _ => self.below(30) as u64,
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Deeper than messages that mean something.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back_and_damage_stays_a_message() {
        let inner = [0x0a, 2, b'h', b'i', 0x10, 0x96, 1];
        let message = [&[0x2a, 7][..], &inner, &[0x35, 1, 2, 3, 4]].concat();
        let fields = read(&message, 0).expect("a message");
        assert!(matches!(fields[0].value, Value::Message(_)), "{fields:?}");
        let mut written = Vec::new();
        write(&fields, &mut written);
        assert_eq!(written, message);
        let mutants: Vec<_> = (0..200).map(|seed| mutate(&message, seed, 64)).collect();
        assert!(mutants.iter().all(|mutant| mutant.len() <= 64));
        let is_whole = |mutant: &&Vec<u8>| read(mutant, 0).is_some() && **mutant != message;
        assert!(mutants.iter().filter(is_whole).count() > 150);
    }

    #[test]
    fn the_same_seed_does_the_same_damage_to_anything() {
        for bytes in [&b""[..], b"\xff", b"no message", &[0x0a, 1, 7]] {
            for seed in 0..200 {
                assert_eq!(mutate(bytes, seed, 8), mutate(bytes, seed, 8));
            }
        }
    }
}
