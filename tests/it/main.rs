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

mod live;
mod openapi;
mod sms;
