//! Meari makes a messenger friend reachable from any phone: every contact gets a number, the numbers are pushed into
//! the phone's own address book, and SMS and calls are bridged to the messenger and back.
//!
//! The modules stand in dependency order: a module may use only those above it (a test checks it). The `api.rs` files
//! are edges: they may use everything, and only `router` imports them.

// Vocabulary: pure, no input or output.
pub mod error;
pub mod clock;
pub mod ids;
pub mod phone;
pub mod money;
pub mod texts;
pub mod gsm7;
pub mod dav;

// Plumbing: knows the outside, knows no domain.
pub mod config;
pub mod keys;
pub mod schema;
pub mod db;
pub mod queue;
pub mod events;
pub mod whispers;
pub mod http;
pub mod net;
pub mod mail;
pub mod push;
pub mod profile_signer;
pub mod metrics;
pub mod telemetry;

// Adapters: know a foreign language, know no domain.
pub mod media;
pub mod carriers;
pub mod app;
pub mod doorbell;

// Slices: one directory for each domain, the same file names for the same roles.
pub mod alarms;
pub mod watch;
pub mod accounts;
pub mod numbers;
pub mod consent;
pub mod contacts;
pub mod presence;
pub mod attachments;
pub mod messaging;
pub mod calls;

// The top: sees everything, is seen only by the command line.
pub mod live;
pub mod web;
pub mod docs;
pub mod router;
pub mod worker;
pub mod simulator;
pub mod cli;
