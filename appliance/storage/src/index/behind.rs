//! An index that is written to behind the committer's back: what was written lately is found in memory, and reaches the index
//! below in larger pieces, on a thread of its own. The journal has all of it, so nothing is lost with what waits here.
//!
//! A batch costs sled about as much as thirty of the records in it, and makes it wake seven threads.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use framework::{Class, MountId};

use super::{Change, Index, IndexError, Position, State, Step, Stored};

/// As many changes are worth a batch. More would keep readers of the index below waiting: a batch shuts them out.
const BATCH: usize = 256;
/// How long a change waits for a batch to fill.
const LINGER: Duration = Duration::from_millis(100);
/// Bytes that may wait. Whoever writes more waits for the index.
const MOST: usize = 8 << 20;
/// A write of so many bytes is not worth a copy: it goes to the index at once.
const LARGE: usize = 1 << 20;
/// Bytes of memory that a change takes besides its key and its value.
const ENTRY: usize = 200;

/// One change, as it waits.
struct Waiting {
    version: u64,
    mount: MountId,
    class: Class,
    value: Option<Vec<u8>>,
}

/// What one write brought, in the order of writes.
struct Group {
    changes: Vec<(Arc<str>, Arc<Waiting>)>,
    bytes: usize,
    position: Position,
}

#[derive(Default)]
struct Queue {
    groups: VecDeque<Group>,
    changes: usize,
    bytes: usize,
    /// How many groups ever came.
    came: u64,
    /// How many of them are in the index.
    settled: u64,
    /// Somebody waits for them.
    hurry: bool,
    failed: Option<IndexError>,
    closed: bool,
}

struct Shared {
    below: Arc<dyn Index>,
    /// The last change to each key that has not reached the index.
    latest: RwLock<HashMap<Arc<str>, Arc<Waiting>>>,
    queue: Mutex<Queue>,
    /// Wakes the thread.
    arrived: Condvar,
    /// Wakes those who wait for the index.
    settled: Condvar,
}

pub(crate) struct WriteBehind {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    fn change<'a>(&'a self, key: &'a str) -> Change<'a> {
        let Self { version, mount, class, ref value } = *self;
        Change { key, version, mount, class, value: value.as_deref(), replaces: None }
    }
}

impl Group {
    fn of(changes: &[Change<'_>], position: Position) -> Self {
        let bytes = changes.iter().map(|change| ENTRY + change.key.len() + change.value.map_or(0, <[u8]>::len)).sum();
        let waiting = |change: &Change<'_>| {
            let Change { key, version, mount, class, value, .. } = *change;
            (key.into(), Arc::new(Waiting { version, mount, class, value: value.map(<[u8]>::to_vec) }))
        };
        Self { changes: changes.iter().map(waiting).collect(), bytes, position }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self, key: &str) -> Option<Arc<Waiting>> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Writes what arrives, until the end.
    fn work(&self) {
        while let Some(groups) = self.take() {
            let written = self.write(&groups);
            let mut queue = self.lock();
            queue.hurry = false;
            match written {
                Ok(()) => queue.settled += groups.len() as u64,
                Err(error) => queue.failed = Some(error),
            }
            let over = queue.failed.is_some();
            drop(queue);
            self.settled.notify_all();
            if over {
                return;
            }
        }
    }

    /// Waits for enough to write. `None` at the end.
    fn take(&self) -> Option<VecDeque<Group>> {
        let mut queue = self.lock();
        let mut until = None;
        loop {
            if queue.closed {
                return None;
            }
            if queue.groups.is_empty() {
                queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            let left = until.get_or_insert(now + LINGER).saturating_duration_since(now);
            if queue.changes >= BATCH || queue.hurry || left.is_zero() {
                return Some(queue.begin());
            }
            queue = self.arrived.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&self, groups: &VecDeque<Group>) -> Result<(), IndexError> {
        let Some(last) = groups.back() else { return Ok(()) };
        let all = || groups.iter().flat_map(|group| &group.changes);
        // The last change to a key counts.
        let changes: BTreeMap<&str, &Waiting> = all().map(|(key, waiting)| (&**key, &**waiting)).collect();
        let changes: Vec<_> = changes.into_iter().map(|(key, waiting)| waiting.change(key)).collect();
        self.below.write(&changes, last.position)?;
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        for (key, waiting) in all() {
            if latest.get(key).is_some_and(|latest| Arc::ptr_eq(latest, waiting)) {
                latest.remove(key);
            }
        }
        Ok(())
    }

    /// Has all that waits now written, and waits for it.
    fn settle(&self) -> Result<(), IndexError> {
        let came = self.lock().came;
        let settled = |queue: &Queue| queue.failed.is_some() || queue.settled >= came;
        let mut queue = self.lock();
        if !settled(&queue) {
            drop(queue);
            queue = framework::waiting(|| {
                let mut queue = self.lock();
                while !settled(&queue) {
                    queue.hurry = true;
                    self.arrived.notify_one();
                    queue = self.settled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                queue
            });
        }
        queue.failed.clone().map_or(Ok(()), Err)
    }
}

impl Queue {
    /// Takes as many groups as make a batch.
    fn begin(&mut self) -> VecDeque<Group> {
        let mut changes = 0;
        let enough = |group: &Group| {
            changes += group.changes.len();
            changes >= BATCH
        };
        let count = self.groups.iter().position(enough).map_or(self.groups.len(), |last| last + 1);
        let rest = self.groups.split_off(count);
        let taken = mem::replace(&mut self.groups, rest);
        self.changes -= taken.iter().map(|group| group.changes.len()).sum::<usize>();
        self.bytes -= taken.iter().map(|group| group.bytes).sum::<usize>();
        taken
    }
}

impl WriteBehind {
    /// Starts the thread that writes to `below`.
    pub(crate) fn new(below: Arc<dyn Index>) -> std::io::Result<Self> {
        let (latest, queue) = (RwLock::default(), Mutex::default());
        let shared = Arc::new(Shared { below, latest, queue, arrived: Condvar::new(), settled: Condvar::new() });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("write-behind".to_owned()).spawn(move || worker.work())?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_one();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Index for WriteBehind {
    fn get(&self, key: &str) -> Result<Option<Stored>, IndexError> {
        match self.shared.latest(key) {
            Some(waiting) => Ok(waiting.change(key).stored()),
            None => self.shared.below.get(key),
        }
    }

    fn version(&self, key: &str) -> Result<u64, IndexError> {
        match self.shared.latest(key) {
            Some(waiting) => Ok(if waiting.value.is_some() { waiting.version } else { 0 }),
            None => self.shared.below.version(key),
        }
    }

    fn scan(&self, from: &str, visit: &mut dyn FnMut(&str) -> Step) -> Result<(), IndexError> {
        self.shared.settle()?;
        self.shared.below.scan(from, visit)
    }

    fn walk(&self, from: &str, visit: &mut dyn FnMut(&str, &Stored) -> bool) -> Result<(), IndexError> {
        self.shared.settle()?;
        self.shared.below.walk(from, visit)
    }

    fn write(&self, changes: &[Change<'_>], position: Position) -> Result<(), IndexError> {
        if changes.iter().map(|change| change.value.map_or(0, <[u8]>::len)).sum::<usize>() >= LARGE {
            self.shared.settle()?;
            return self.shared.below.write(changes, position);
        }
        let group = Group::of(changes, position);
        let full = |queue: &mut Queue| queue.failed.is_none() && queue.bytes >= MOST;
        let queue = self.shared.settled.wait_while(self.shared.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &queue.failed {
            return Err(error.clone());
        }
        drop(queue);
        self.shared.latest.write().unwrap_or_else(PoisonError::into_inner).extend(group.changes.iter().cloned());
        let mut queue = self.shared.lock();
        let before = queue.changes;
        queue.changes += group.changes.len();
        queue.bytes += group.bytes;
        queue.groups.push_back(group);
        queue.came += 1;
        let wake = before == 0 || (before < BATCH && queue.changes >= BATCH);
        drop(queue);
        if wake {
            self.shared.arrived.notify_one();
        }
        Ok(())
    }

    /// Of the index below, once all that waits has reached it.
    fn state(&self) -> State {
        let _ = self.shared.settle();
        self.shared.below.state()
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        self.shared.settle()?;
        self.shared.below.checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::index::watched::{Watched, at, write};

    /// Over an index that fails at the record "fail", and meets the test twice at the record "wait".
    fn behind() -> (Arc<Watched>, Arc<Barrier>, WriteBehind) {
        let meeting = Arc::new(Barrier::new(2));
        let met = Arc::clone(&meeting);
        let below = Arc::new(Watched::new(Box::new(move |changes| {
            if changes.iter().any(|change| change.key == "wait") {
                met.wait();
                met.wait();
            }
            match changes.iter().any(|change| change.key == "fail") {
                true => Err(IndexError::Full("on purpose".to_owned())),
                false => Ok(()),
            }
        })));
        (below.clone(), meeting, WriteBehind::new(below).unwrap())
    }

    #[test]
    fn writes_are_seen_at_once_and_reach_the_index_in_few_batches() {
        let (below, _, index) = behind();
        for version in 1..=1000 {
            write(&index, &format!("k{}", version % 10), version, Some(b"v")).unwrap();
            assert_eq!(index.version(&format!("k{}", version % 10)).unwrap(), version);
        }
        write(&index, "k3", 1001, None).unwrap();
        assert!(index.get("k3").unwrap().is_none());
        assert_eq!(index.state().position, at(1001), "the state is that of everything written");
        assert_eq!((below.state().position, below.state().count), (at(1001), 9));
        assert!(below.written() < 100);
        assert!(index.get("k3").unwrap().is_none());
        assert_eq!(index.get("k2").unwrap().unwrap().version, 992);
    }

    #[test]
    fn what_is_written_while_a_batch_is_under_way_stays_in_sight_and_follows_in_order() {
        let (below, meeting, index) = behind();
        write(&index, "wait", 1, Some(b"1")).unwrap();
        thread::scope(|scope| {
            let settling = scope.spawn(|| index.shared.settle());
            meeting.wait();
            write(&index, "k", 2, Some(b"2")).unwrap();
            write(&index, "k", 3, Some(b"3")).unwrap();
            assert_eq!(index.get("wait").unwrap().unwrap().version, 1);
            assert_eq!(index.version("k").unwrap(), 3);
            assert_eq!(below.state().position, at(0));
            meeting.wait();
            settling.join().unwrap().unwrap();
        });
        assert_eq!((index.state().position, below.version("k").unwrap()), (at(3), 3));
    }

    #[test]
    fn a_failure_is_told_to_everybody_who_comes_after_it_and_to_those_who_wait() {
        let (_, _, index) = behind();
        write(&index, "fail", 1, Some(b"v")).unwrap();
        assert!(matches!(index.checkpoint(), Err(IndexError::Full(_))));
        assert!(matches!(write(&index, "k", 2, Some(b"v")), Err(IndexError::Full(_))));
        assert!(index.get("fail").unwrap().is_some(), "it is durable in the journal, so it stays in sight");
    }
}
