//! Stories: what an operator fears, and how it ends.

mod certificates;
mod channels;
mod clocks;
mod hostile;
mod links;
mod restarts;
