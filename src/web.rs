//! Serves the web client.
