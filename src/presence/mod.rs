//! Who can be reached, and how.

mod signs;

pub use signs::{CHOICE_LASTS, Choice, Phone, Presence, PresenceState, Signs, Via, decide, is_quiet};
