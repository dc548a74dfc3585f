//! Any bytes as a vCard: what is taken is written, read again, and says the same; it can be had in either version, and
//! what comes back in the other one is a card, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meari_fuzz::contacts::card_convert::to_version;
use meari_fuzz::contacts::card_versions::merge;
use meari_fuzz::contacts::vcard::{Card, Version};

fuzz_target!(|body: &[u8]| {
    if let Ok(card) = Card::parse(body) {
        let text = card.render();
        let again = Card::parse(text.as_bytes()).expect("what we write can be read");
        assert_eq!(again.lines, card.lines);
        for version in [Version::V3, Version::V4] {
            let other = to_version(&card, version).render();
            // At the limits of size a line more is one too many.
            if let Ok(read) = Card::parse(other.as_bytes()) {
                assert_eq!(read.version, version);
                if let Some(merged) = merge(body, other.as_bytes()) {
                    let merged = Card::parse(&merged).expect("what we merge can be read");
                    assert_eq!(merged.version, Version::V4);
                }
            }
        }
    }
});
