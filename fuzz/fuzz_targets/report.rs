//! Any bytes as the body of a REPORT, filters included; a filter that is understood is tried on a card.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use meari_fuzz::contacts::card_filter::{Work, matches};
use meari_fuzz::contacts::vcard::Card;
use meari_fuzz::dav::report::{self, Report};

const CARD: &[u8] = b"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:1\r\nFN:Alice \xc3\x85ngstr\xc3\xb6m\r\nN:A;B;;;\r\n\
item1.EMAIL;TYPE=work,home:alice@example.org\r\nTEL;TYPE=CELL:+12025550101\r\nNICKNAME:Al,Ali\r\nEND:VCARD\r\n";

static ALICE: LazyLock<Card> = LazyLock::new(|| Card::parse(CARD).expect("the card is good"));

fuzz_target!(|body: &[u8]| {
    if let Ok(Report::Query { filter, .. }) = report::parse(body) {
        let _ = matches(&ALICE, &filter, &mut Work::new());
    }
});
