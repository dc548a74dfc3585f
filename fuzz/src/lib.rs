//! The readers of what strangers send, as the service has them.

#[path = "../../src/dav/mod.rs"]
pub mod dav;

#[path = "../../src/contacts"]
pub mod contacts {
    pub mod card_convert;
    pub mod card_filter;
    pub mod card_meaning;
    pub mod card_versions;
    pub mod vcard;
}
