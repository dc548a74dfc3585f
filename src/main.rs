//! The program: everything it can do is in [`meari::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    meari::cli::run(std::env::args_os())
}
