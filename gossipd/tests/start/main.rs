//! Peers and what they keep, as operators run them: processes, files and sockets.

mod channels;
mod made_channel;
mod org;
mod process;
mod record;
mod restart;
mod settings;
mod source;
