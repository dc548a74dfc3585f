//! Friends and address books.
//!
//! The roster: a [`Contact`] is one thing with an address on a network. Two accounts that are friends hold a row each,
//! which point at each other and share a conversation; either side may block without telling. An accepted contact has
//! a number as long as its account has a verified mobile.

mod address;
pub mod api;
pub mod arrivals;
mod book_store;
mod book_writes;
pub mod books;
mod card_convert;
mod card_export;
mod card_filter;
mod card_friends;
pub mod card_import;
mod card_mail;
mod card_meaning;
mod card_versions;
pub mod carddav;
mod contact;
mod conversation;
mod hidden_cards;
pub mod import;
pub mod jobs;
mod messenger_book;
mod messenger_card;
mod numbering;
pub mod photos;
pub mod pushes;
mod roster;
pub mod sharing;
mod sharing_store;
mod store;
pub mod vcard;

pub use address::{ContactAddress, Network};
pub use contact::{Contact, ContactState, ContactView, Direction, NumberState};
pub use conversation::{close as close_conversation, open as open_conversation};
pub use messenger_card::{CardPhoto, MessengerCard, render_messenger_card};
pub use numbering::{
    REST, REST_MAX, count_waiting, free_rested, give_numbers, handset_removed, hide_on_phone, peer_changed,
    replace_numbers, show_on_phone,
};
pub use roster::{
    Answer, Asked, CONTACTS_MAX, Filter, accept, block, erase, export, is_blocked, list, load,
    note_texts_stopped, parse_name, remove, rename, request, request_many, resolve, unblock, views,
};
pub use store::Person;
