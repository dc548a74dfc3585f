//! Any bytes as the body of a REPORT, filters included.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meari::dav::report;

fuzz_target!(|body: &[u8]| {
    let _ = report::parse(body);
});
