//! The `start` and `peers` commands as operators run them: processes, files and sockets.

mod channels;
mod made_channel;
mod org;
mod process;
mod settings;
mod source;
