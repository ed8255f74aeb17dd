//! The grappe command.

use std::process::ExitCode;

/// A plan is millions of small values: with the C library's allocator they take a third more time, and the more the larger the plan, since what it
/// frees it joins with its neighbours, which by then are in no cache.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    grappe_cli::run(std::env::args_os()).into()
}
