//! Gives what libFuzzer makes up to the target `bounds`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gossip_tests::fuzz::run("bounds", bytes));
