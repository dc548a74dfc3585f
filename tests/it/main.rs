//! Stories over the doors a user has. One binary; this list is the table of contents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs
)]

#[macro_use]
mod support;

mod access;
mod admin;
mod accounts;
mod call_quality;
mod call_sounds;
mod calls;
mod calls_endings;
mod calls_faults;
mod calls_manners;
mod calls_many;
mod calls_measured;
mod calls_push;
mod card_files;
mod carddav_discovery;
mod carddav_limits;
mod carddav_messenger;
mod carddav_objects;
mod carddav_peers;
mod carddav_push;
mod carddav_reports;
mod carddav_rules;
mod carddav_shared;
mod carddav_sync;
mod carddav_three;
mod carddav_versions;
mod carrier_faults;
mod carrier_peers;
mod carrier_voice;
mod carrier_voice_peers;
mod carriers;
mod cli;
mod console;
mod contacts;
mod doorbell;
mod failover;
mod finding;
mod goods;
mod group_mms;
mod idempotency;
mod kill;
mod late_words;
mod live;
mod mail_peers;
mod migrations;
mod openapi;
mod outbox;
mod phone_book;
mod presence;
mod proofs;
mod push;
mod sessions;
mod settings;
mod signed_profiles;
mod simulator_peers;
mod sms;
mod sms_outbound;
mod smpp;
mod smpp_peers;
mod text_guard;
mod tidy;
mod twilio;
#[macro_use]
mod vendors;
mod vendors_peers;
mod voicemails;
mod mms;
