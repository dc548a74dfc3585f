//! The load drivers.

fn main() {}
