//! Settings: read once, checked, then data.
