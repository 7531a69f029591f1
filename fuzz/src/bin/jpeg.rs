#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| recocomp_fuzz::pictures::run(input));
