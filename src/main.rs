//! The program: everything it can do is in [`meari::cli`].

use std::process::ExitCode;

/// Memory is given back on another thread than it was taken from all the time here (a request's on a database thread),
/// which glibc's allocator makes dear.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    meari::cli::run(std::env::args_os())
}
