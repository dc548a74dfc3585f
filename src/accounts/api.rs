//! The edges of accounts over HTTP.
