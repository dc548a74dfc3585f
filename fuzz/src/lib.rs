//! The readers of what strangers send, as the service has them.

#[path = "../../src/dav/mod.rs"]
pub mod dav;

pub mod contacts {
    #[path = "../../../src/contacts/card_convert.rs"]
    pub mod card_convert;
    #[path = "../../../src/contacts/card_filter.rs"]
    pub mod card_filter;
    #[path = "../../../src/contacts/vcard.rs"]
    pub mod vcard;
}
