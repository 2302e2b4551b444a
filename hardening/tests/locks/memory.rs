//! Guarded memory and the wiping allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;

use hardening::arena::{self, Backing, Policy};
use hardening::{Guarded, Secret, State};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{Case, child, child_prints};

pub(crate) const CASES: &[Case] = &[
    ("memory is locked, undumped and guarded", locked),
    ("without memfd_secret memory is locked too", locked_without_memfd_secret),
    ("a page that cannot be locked is noticed", limit_is_noticed),
    ("guard pages fault", guards_fault),
    ("secrets are wiped on drop", || passes("wiped")),
    ("a full arena is an error", || passes("full")),
    ("guarded values are dropped, then wiped", || passes("guarded")),
    ("the allocator leaves no copy", || passes("allocator")),
];

pub(crate) fn run(name: &str, _: &[&str]) -> bool {
    match name {
        "locked" => print_flags(),
        "locked-anonymous" => {
            without_memfd_secret();
            print_flags();
        }
        "limit" => limit(),
        "guard-before" => poke(-1),
        "guard-after" => poke(arena::usage().size as isize),
        "wiped" => wiped(),
        "full" => full(),
        "guarded" => guarded(),
        "allocator" => allocator(),
        _ => return false,
    }
    true
}

fn passes(name: &str) -> Option<&'static str> {
    child_prints(&[name]);
    None
}

/// The child prints backing and VmFlags; an ordinary user's limit is enough for the default arena.
fn locked() -> Option<&'static str> {
    let printed = child_prints(&["locked"]);
    if !printed.contains("SecretMemory") {
        return Some("this kernel has no memfd_secret; the next case checks what it has");
    }
    // Not `lo` and not VmLck: Linux 6.1 never evicts these pages, but does not count them as locked.
    for expected in [" dd ", " dc ", "guards ---", "mem unreadable"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    None
}

fn locked_without_memfd_secret() -> Option<&'static str> {
    let printed = child_prints(&["locked-anonymous"]);
    for expected in ["Locked", " lo ", " dd ", " wf ", "guards ---"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    None
}

fn print_flags() {
    let report = arena::initialise(Policy { require_lock: true, ..Policy::default() }).unwrap();
    assert!(report.complete(), "{report}");
    let secret = Secret::random(32).unwrap();
    let address = secret.expose().as_ptr() as usize;
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut before, mut inside, mut guards) = (String::new(), false, Vec::new());
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap();
        if let Some((from, to)) = first.split_once('-') {
            let bounds = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
            let was_inside = inside;
            inside = (bounds[0]..bounds[1]).contains(&address);
            if inside {
                guards.push(before.clone());
            }
            if was_inside {
                guards.push(rest.to_owned());
            }
            before = rest.to_owned();
        } else if inside && first == "VmFlags:" {
            println!("VmFlags {rest} ");
        }
    }
    assert!(guards.iter().all(|guard| guard.starts_with("---")) && guards.len() == 2, "{guards:?}");
    println!("{:?} guards ---", arena::backing().unwrap());
    if arena::backing() == Some(Backing::Locked) {
        assert!(hardening::process::locked_kib().unwrap() >= 4096);
    }
    let mut copy = [0; 32];
    let read = File::open("/proc/self/mem").unwrap().read_exact_at(&mut copy, address as u64);
    assert!(read.is_ok() == (arena::backing() == Some(Backing::Locked)));
    println!("mem {}", if read.is_err() { "unreadable" } else { "readable" });
}

/// Makes memfd_secret fail as on a kernel that lacks it.
fn without_memfd_secret() {
    use seccompiler::{SeccompAction, SeccompFilter};
    let errno = SeccompAction::Errno(libc::ENOSYS as u32);
    let rules = [(libc::SYS_memfd_secret, vec![])].into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, std::env::consts::ARCH.try_into().unwrap());
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

fn limit_is_noticed() -> Option<&'static str> {
    let printed = child_prints(&["limit"]);
    assert!(printed.contains("RLIMIT_MEMLOCK is 64 KiB"), "{printed}");
    None
}

fn limit() {
    without_memfd_secret();
    // Without CAP_IPC_LOCK the limit counts, for root too.
    for set in [caps::CapSet::Effective, caps::CapSet::Permitted] {
        caps::clear(None, set).unwrap();
    }
    setrlimit(Resource::Memlock, Rlimit { current: Some(64 << 10), maximum: Some(64 << 10) }).unwrap();
    println!("{}", arena::initialise(Policy { require_lock: true, ..Policy::default() }).unwrap_err());
    let report = arena::initialise(Policy::default()).unwrap();
    assert_eq!(report.get("guarded memory").unwrap().state, State::NotSet);
    assert_eq!(arena::backing(), Some(Backing::Unlocked));
    assert_eq!(Secret::locked(b"still works").unwrap().expose(), b"still works");
}

fn guards_fault() -> Option<&'static str> {
    for side in ["guard-before", "guard-after"] {
        assert_eq!(child(&[side]).status.signal(), Some(libc::SIGSEGV), "{side}");
    }
    None
}

/// Writes at `offset` from the first byte of the arena.
fn poke(offset: isize) {
    let first = Secret::locked_with(arena::LARGEST, |room| room.fill(1)).unwrap();
    let at = first.expose().as_ptr().cast_mut();
    // JUSTIFICATION: the test is that this write kills the process. SAFETY: none; it must fault.
    unsafe { at.offset(offset).write_volatile(1) };
}

fn peek(at: *const u8, len: usize) -> Vec<u8> {
    // JUSTIFICATION: what a dropped secret left behind has no safe view.
    // SAFETY: the arena is never unmapped, and nothing else runs in this process.
    (0..len).map(|i| unsafe { at.add(i).read_volatile() }).collect()
}

fn wiped() {
    let secret = Secret::locked(&[0xa5; 4000]).unwrap();
    let at = secret.expose().as_ptr();
    assert_eq!(peek(at, 4000), [0xa5; 4000]);
    drop(secret);
    assert_eq!(peek(at, 4000), [0; 4000]);
    assert_eq!(arena::usage().slots, 0);
}

fn full() {
    arena::initialise(Policy { size: 1, ..Policy::default() }).unwrap();
    assert_eq!(arena::usage().size, 64 << 10);
    let held: Vec<Secret> = std::iter::from_fn(|| Secret::random(1000).ok()).collect();
    assert_eq!(held.len(), 64);
    assert_eq!(Secret::random(16).unwrap_err().requested, 16);
    assert!(Guarded::new([0u8; 100]).is_err());
    drop(held);
    assert!(Secret::random(arena::LARGEST).is_ok());
    assert!(Secret::random(arena::LARGEST + 1).is_err());
}

fn guarded() {
    #[repr(align(512))]
    struct Schedule([u8; 240], std::rc::Rc<std::cell::Cell<u8>>);
    impl Drop for Schedule {
        fn drop(&mut self) {
            self.1.set(self.0[239]);
        }
    }
    let seen = std::rc::Rc::new(std::cell::Cell::new(0));
    let value = Guarded::with(|| Schedule([0x5a; 240], seen.clone())).unwrap();
    let at = std::ptr::from_ref(&*value);
    assert!(at.is_aligned());
    assert_eq!(value.0[17], 0x5a);
    drop(value);
    assert_eq!(seen.get(), 0x5a);
    assert_eq!(peek(at.cast(), size_of::<Schedule>()), vec![0; size_of::<Schedule>()]);
}

/// Bytes that stand nowhere in the program: only their masked form does.
fn marker() -> impl Iterator<Item = u8> + Clone {
    (0..48u8).map(|i| black_box(i).wrapping_mul(37) ^ 0x5c)
}

/// Copies of the marker in the heap.
fn copies() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let heap = maps.lines().find(|line| line.ends_with("[heap]")).unwrap();
    let (from, to) = heap.split_once(' ').unwrap().0.split_once('-').unwrap();
    let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
    let hits = (from..to - 48).filter(|&at| {
        // JUSTIFICATION: freed memory has no safe view. SAFETY: the heap is mapped, and this process has one thread.
        marker().enumerate().all(|(i, byte)| unsafe { (at as *const u8).add(i).read_volatile() } == byte)
    });
    hits.count()
}

fn allocator() {
    // The scan finds what the system's allocator leaves …
    let layout = Layout::from_size_align(488, 16).unwrap();
    // JUSTIFICATION: bypassing the allocator under test. SAFETY: a fresh block, written within bounds, freed once.
    unsafe {
        let block = System.alloc(layout);
        marker().enumerate().for_each(|(i, byte)| block.add(200 + i).write_volatile(byte));
        System.dealloc(block, layout);
    }
    assert_eq!(copies(), 1);
    // … and nothing of growing, shrinking and dropping vectors beside it.
    let mut grown: Vec<u8> = Vec::with_capacity(1500);
    grown.extend(std::iter::repeat_n(0, 900).chain(marker()));
    let barrier = Box::new([0u8; 64]);
    grown.reserve_exact(50_000);
    assert_eq!(copies(), 2, "the live one and the one planted");
    grown.truncate(960);
    grown.shrink_to_fit();
    assert_eq!(copies(), 2);
    drop(black_box(grown));
    drop(black_box(barrier));
    assert_eq!(copies(), 1);
}
