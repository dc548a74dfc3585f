//! Any bytes as an XML body: read, and what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meari_fuzz::dav::{push, requests, xml};

fuzz_target!(|body: &[u8]| {
    let _ = requests::propfind(body);
    let _ = requests::proppatch(body);
    let _ = requests::mkcol(body);
    let _ = push::register(body);
    if let Ok(element) = xml::parse(body) {
        let mut text = b"<w xmlns=\"DAV:\">".to_vec();
        element.write(&mut text);
        text.extend_from_slice(b"</w>");
        // A document at the limit of depth or count is over it with one element more around it.
        if let Ok(again) = xml::parse(&text) {
            assert_eq!(again.elements().next(), Some(&element));
        }
    }
});
