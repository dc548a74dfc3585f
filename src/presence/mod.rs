//! Who can be reached now, and how.
