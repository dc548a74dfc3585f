//! Sends one letter.
