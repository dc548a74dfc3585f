//! Any bytes as a vCard: what is taken is written, read again, and says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meari::contacts::vcard::Card;

fuzz_target!(|body: &[u8]| {
    if let Ok(card) = Card::parse(body) {
        let text = card.render();
        let again = Card::parse(text.as_bytes()).expect("what we write can be read");
        assert_eq!(again.lines, card.lines);
    }
});
