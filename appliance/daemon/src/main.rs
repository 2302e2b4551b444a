//! The binary `holdfast`.
#![forbid(unsafe_code)]

/// Everything on the heap is wiped when it is freed.
#[global_allocator]
static HEAP: hardening::WipingAllocator = hardening::WipingAllocator;

fn main() -> std::process::ExitCode {
    daemon::main()
}
