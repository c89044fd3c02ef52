//! Gives what libFuzzer makes up to the target `reencode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gossip_tests::fuzz::run("reencode", bytes));
