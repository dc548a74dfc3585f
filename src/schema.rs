//! The tables, as diesel sees them.
