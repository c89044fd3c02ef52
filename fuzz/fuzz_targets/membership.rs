//! Gives what libFuzzer makes up to the target `membership`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gossip_tests::fuzz::run("membership", bytes));
