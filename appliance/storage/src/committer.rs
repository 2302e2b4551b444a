//! The one thread that writes: it checks what waits, appends it to the journal, syncs once, applies it to the index, answers.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use framework::{Ciphertext, Error, Key, Version};

use crate::Options;
use crate::index::{self, Index};
use crate::keeper::Keeper;
use crate::log::{Append, Entry, Log, LogError, Position, Record};
use crate::queue::{Answer, Patience, Queue, Request};
use crate::record::LARGEST_RECORD;
use crate::restore::replay;
use crate::slot::Slot;

/// How long a group waits for the next transaction, as long as it is smaller than the last one: about what the sync costs
/// that is saved. Nobody waits who comes alone.
const GAP: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_micros(300);
/// The longest a group waits altogether.
const LONGEST_WAIT: Duration = Duration::from_millis(2);
/// After a group of this many bytes the memory goes back that was taken for it.
const LARGE: usize = 1 << 20;
/// An index that failed is opened again at most this often.
const RETRY: Duration = Duration::from_millis(500);

/// What can be seen of the committer from outside.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) sequence: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) transactions: AtomicU64,
}

pub(crate) struct Committer {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) keeper: Keeper,
    pub(crate) options: Options,
    pub(crate) epoch: u64,
    /// The last record in both journal and index.
    pub(crate) tail: Position,
    /// Whether `tail` is known to be both: not after an append or an index write whose outcome is unknown.
    pub(crate) in_step: bool,
    /// How many came together last.
    pub(crate) company: usize,
    /// How long the last append took.
    pub(crate) append_took: Duration,
    pub(crate) last_retry: Option<Instant>,
    /// The index is being read through; until that is done nothing is written.
    pub(crate) verifying: Option<Verifying>,
}

/// A thread that reads the index through, and reports it as failed if it is not sound.
pub(crate) struct Verifying {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Verifying {
    pub(crate) fn start(slot: Arc<Slot>, queue: Arc<Queue>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let work = move || {
            let Some(index) = slot.now() else { return };
            let verified = index::verify(index.as_ref(), &asked);
            drop(index);
            match verified {
                Ok(()) => slot.set_verified(),
                Err(error) => {
                    tracing::error!(%error, "the storage index is made again");
                    slot.mark_failed();
                    let _ = queue.look();
                }
            }
        };
        Ok(Self { thread: std::thread::Builder::new().name("verify-index".to_owned()).spawn(work)?, stop })
    }

    fn wait(self) {
        let _ = self.thread.join();
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wait();
    }
}

impl Committer {
    /// Works until it is told to close.
    pub(crate) fn run(mut self, queue: &Queue) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.serve(queue)));
        queue.end();
        if let Some(verifying) = self.verifying.take() {
            verifying.end();
        }
        if ended.is_err() {
            // The state of this struct is unknown. Readers go on; writers get an error, since the queue has ended.
            tracing::error!(
                "the storage committer panicked; nothing more is written until the server is started again"
            );
            return;
        }
        self.keeper.finish(self.in_step, &self.slot);
    }

    fn serve(&mut self, queue: &Queue) {
        let mut open = true;
        while open {
            // While something is wrong, it is looked after even if nobody asks.
            let troubled = self.slot.has_failed() || self.keeper.is_makeshift();
            let gap = self.append_took.clamp(*GAP.start(), *GAP.end());
            let patience = Patience { company: self.company, gap, longest: LONGEST_WAIT };
            let work = queue.next(troubled.then_some(RETRY), patience);
            open = !work.close;
            if !work.group.is_empty() {
                self.company = work.group.len();
            }
            self.commit(work.group);
            self.upkeep();
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let needed = !group.is_empty() || self.slot.has_failed();
        if let Some(verifying) = self.verifying.take_if(|_| needed) {
            verifying.wait();
        }
        let ready = self.get_in_step();
        if group.is_empty() {
            return;
        }
        let index = match ready.and_then(|()| self.slot.now().ok_or_else(|| "there is no index".to_owned())) {
            Ok(index) => index,
            Err(why) => return refuse(group.into_iter().map(|request| request.answer), &why),
        };
        let (records, answers) = self.judge(group, index.as_ref());
        let Some(last) = records.last().map(Record::position) else {
            return answer_all(answers);
        };
        let began = Instant::now();
        let appended = self.log.append(&records);
        self.append_took = began.elapsed();
        match appended {
            Append::Appended => {}
            Append::Refused(error) => return refuse_log(answers, &error),
            Append::Unknown(error) => {
                self.in_step = false;
                return refuse_log(answers, &error);
            }
            Append::Taken(record) => {
                self.in_step = false;
                let why = format!("another writer has taken record {} of the journal", record.sequence);
                return refuse(answers, &why);
            }
        }
        // Durable from here on, whatever becomes of the index.
        let applied = index::apply(index.as_ref(), &records);
        drop(index);
        if let Err(error) = applied {
            tracing::error!(%error, "the storage index failed a write; it is opened again");
            self.in_step = false;
            self.slot.mark_failed();
            // A new index gets these transactions from the journal.
            if let Err(why) = self.get_in_step() {
                return refuse(answers, &format!("the write is durable, but is not visible yet: {why}"));
            }
        }
        self.tail = last;
        let bytes: usize = records.iter().map(|record| record.encoded().len()).sum();
        self.keeper.wrote(bytes as u64, records.len() as u64);
        self.counters.sequence.store(last.sequence, Ordering::Relaxed);
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.counters.transactions.fetch_add(records.len() as u64, Ordering::Relaxed);
        answer_all(answers);
        drop(records);
        if bytes > LARGE {
            hardening::WipingAllocator::give_back_pages();
        }
    }

    /// Checks each transaction against the index and the ones before it in the group. Those that fail are answered here.
    fn judge(&self, group: Vec<Request>, index: &dyn Index) -> (Vec<Record>, Vec<Answer>) {
        let mut staged: HashMap<Key, Version> = HashMap::new();
        let (mut records, mut answers) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        let mut position = self.tail;
        let now = self.options.clock.now();
        for Request { batch, answer, .. } in group {
            match outdated(&batch.reads, &staged, index) {
                Ok(false) => {}
                Ok(true) => {
                    answer.give(Err(Error::Conflict));
                    continue;
                }
                Err(error) => {
                    self.slot.mark_failed();
                    answer.give(Err(error));
                    continue;
                }
            }
            if batch.writes.is_empty() {
                answers.push(answer);
                continue;
            }
            let entry = |write: framework::Write<Ciphertext>| Entry {
                mount: write.mount,
                class: write.class,
                key: write.key,
                value: write.value.map(|value| value.0),
            };
            let Some(record) = Record::new(position, self.epoch, now, batch.writes.into_iter().map(entry).collect())
            else {
                answer.give(Err(Error::TooLarge { limit: LARGEST_RECORD }));
                continue;
            };
            position = record.position();
            for entry in &record.entries {
                let version = if entry.value.is_some() { record.sequence } else { 0 };
                staged.insert(entry.key.clone(), Version(version));
            }
            records.push(record);
            answers.push(answer);
        }
        (records, answers)
    }

    /// Makes sure that journal and index stand at the same record, as is always so but after a failure.
    fn get_in_step(&mut self) -> Result<(), String> {
        if self.in_step && !self.slot.has_failed() {
            if self.keeper.may_end_makeshift() {
                self.keeper.end_makeshift(&self.slot);
            }
            return Ok(());
        }
        if self.last_retry.is_some_and(|last| last.elapsed() < RETRY) && self.slot.has_failed() {
            return Err("the storage index failed, and is opened again in a moment".to_owned());
        }
        let tail = self.log.tail().map_err(|error| error.to_string())?;
        if self.slot.has_failed() || self.slot.now().is_none() {
            self.last_retry = Some(Instant::now());
            self.keeper.replace_index(&self.slot)?;
        }
        let index = self.slot.now().ok_or("there is no index")?;
        replay(self.log.as_ref(), index.as_ref()).map_err(|error| {
            self.slot.mark_failed();
            error.to_string()
        })?;
        let reached = index.state().position;
        if reached != tail {
            return Err(format!("the index stands at record {}, the journal at {}", reached.sequence, tail.sequence));
        }
        self.tail = tail;
        self.in_step = true;
        self.counters.sequence.store(tail.sequence, Ordering::Relaxed);
        Ok(())
    }

    fn upkeep(&mut self) {
        if self.in_step
            && let Err(error) = self.keeper.upkeep(self.log.as_ref(), &self.slot, &self.options)
        {
            tracing::error!(%error, "the storage index could not be made durable; it will be opened again");
            self.slot.mark_failed();
            let _ = self.get_in_step();
        }
    }
}

/// Whether something that was read has changed since.
fn outdated(reads: &[(Key, Version)], staged: &HashMap<Key, Version>, index: &dyn Index) -> Result<bool, Error> {
    for (key, seen) in reads {
        let now = match staged.get(key) {
            Some(version) => *version,
            None => Version(index.version(key.as_str())?),
        };
        if now != *seen {
            return Ok(true);
        }
    }
    Ok(false)
}

fn answer_all(answers: Vec<Answer>) {
    for answer in answers {
        answer.give(Ok(()));
    }
}

fn refuse(answers: impl IntoIterator<Item = Answer>, why: &str) {
    for answer in answers {
        answer.give(Err(Error::internal(format!("storage: {why}"))));
    }
}

fn refuse_log(answers: Vec<Answer>, error: &LogError) {
    tracing::error!(%error, "a write to the journal failed");
    refuse(answers, &error.to_string());
}
