//! How large what peers can make grow is.

use alloc::vec::Vec;

/// Something that peers can make grow, and the bound that it is held to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Table {
    /// What is in it.
    pub name: &'static str,
    /// How much: bytes if the name says so, else things. Of several tables of a kind, such as those
    /// of each connection or channel, this is the size of the largest. Where one thing may exceed a
    /// bound of bytes, the last is not counted.
    pub size: usize,
    /// The most that may be in it, which follows from the configuration.
    pub max: usize,
}

/// Gathers tables; of a kind the largest.
#[derive(Debug)]
pub(crate) struct Tables(Vec<Table>);

impl Tables {
    /// Gathers into a place that is large enough from the beginning.
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(64))
    }

    pub(crate) fn add(&mut self, name: &'static str, size: usize, max: usize) {
        match self.0.iter_mut().find(|table| table.name == name) {
            Some(table) => table.size = table.size.max(size),
            None => self.0.push(Table { name, size, max }),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Table> {
        self.0
    }
}
