//! The kernel's locks and the guarded memory, seen from outside and from inside.
//!
//! Every case starts this program again as `locks child NAME …`, since a lock lasts as long as its process. A case
//! that needs a right which the user lacks says so and is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test program
#![allow(clippy::print_stdout)] // its report, and what its children tell it

mod acts;
mod everyday;
mod memory;
mod roles;

use std::panic::catch_unwind;
use std::process::{Command, ExitCode, Output, Stdio};

/// The allocator under test serves the whole program.
#[global_allocator]
static ALLOCATOR: hardening::WipingAllocator = hardening::WipingAllocator;

/// A case: its name, and what it checks. Returns why it was skipped, if it was.
type Case = (&'static str, fn() -> Option<&'static str>);

/// Runs `locks child ARGUMENTS` to its end.
fn child(arguments: &[&str]) -> Output {
    let program = std::env::current_exe().unwrap();
    Command::new(program).arg("child").args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What a child printed, if it ended well.
fn child_prints(arguments: &[&str]) -> String {
    let output = child(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {:?}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["child", name, rest @ ..] = &words[..] {
        let known = memory::run(name, rest) || acts::run(name, rest) || roles::run(name, rest);
        assert!(known, "no child {name}");
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let mut failed = 0;
    for (name, case) in memory::CASES.iter().chain(acts::CASES).chain(roles::CASES) {
        if !name.contains(filter) {
            continue;
        }
        match catch_unwind(case) {
            Ok(None) => println!("test {name} ... ok"),
            Ok(Some(why)) => println!("test {name} ... SKIP: {why}"),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}
