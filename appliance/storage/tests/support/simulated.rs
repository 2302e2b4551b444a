//! A disk that forgets what was not synced: page by page, some of it torn at 512 bytes, names too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use storage::disk::{Disk, DiskFile};

use super::Random;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// One life of a simulated disk, from power on to power cut.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<World>>);

struct World {
    files: Vec<FileState>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since a folder of theirs was synced, in order.
    unsynced: Vec<Renaming>,
    folders: BTreeSet<String>,
    operations: u64,
    syncs: u64,
    cut_at: u64,
    life: u64,
    faults: Faults,
}

/// Names that change together, and the folders whose sync makes that durable.
#[derive(Clone)]
struct Renaming {
    folders: Vec<String>,
    names: Vec<(String, Option<usize>)>,
}

/// What goes wrong.
#[derive(Clone, Default)]
pub struct Faults {
    /// Syncs claim success and do nothing.
    pub lying_sync: bool,
    /// So many syncs of files below `journal/` fail; what they were to write is lost or not.
    pub failing_syncs: u32,
    /// Writes to files below `journal/` panic.
    pub panics: bool,
    /// Files below `journal/` and `snapshot/` may be this large together.
    pub capacity: Option<u64>,
}

#[derive(Clone, Default)]
struct FileState {
    content: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<Range<usize>>,
}

struct File {
    disk: SimulatedDisk,
    id: usize,
    journal: bool,
    limited: bool,
}

impl SimulatedDisk {
    pub fn new() -> Self {
        Self::with(0, Vec::new(), BTreeMap::new(), BTreeSet::new())
    }

    fn with(life: u64, files: Vec<FileState>, names: BTreeMap<String, usize>, folders: BTreeSet<String>) -> Self {
        Self(Arc::new(Mutex::new(World {
            files,
            durable_names: names.clone(),
            names,
            unsynced: Vec::new(),
            folders,
            operations: 0,
            syncs: 0,
            cut_at: u64::MAX,
            life,
            faults: Faults::default(),
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The power goes at the so-many-th operation from here; every operation after it fails.
    pub fn cut_after(&self, operations: u64) {
        let mut world = self.world();
        world.cut_at = world.operations + operations;
    }

    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    pub fn is_cut(&self) -> bool {
        let world = self.world();
        world.operations > world.cut_at
    }

    /// What is found when the power comes back.
    pub fn after_cut(&self, random: &mut Random) -> Self {
        let mut world = self.world();
        world.cut_at = 0;
        let mut names = world.durable_names.clone();
        let kept = random.below(world.unsynced.len() as u64 + 1) as usize;
        for (name, id) in world.unsynced[..kept].iter().flat_map(|renaming| &renaming.names) {
            set(&mut names, name, *id);
        }
        let files = world.files.iter().map(|file| file.after_cut(random)).collect();
        Self::with(world.life + 1, files, names, world.folders.clone())
    }
}

impl World {
    /// Counts an operation; `false` if it comes after the cut or is the one it happens in.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.operations > self.cut_at { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn rename(&mut self, folders: &[&str], names: Vec<(String, Option<usize>)>) {
        for (name, id) in &names {
            set(&mut self.names, name, *id);
        }
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        self.unsynced.push(Renaming { folders, names });
    }

    /// The files in a folder and below it.
    fn below(&self, folder: &str) -> Vec<(String, usize)> {
        let prefix = format!("{folder}/");
        let below = self.names.iter().filter(|(name, _)| name.starts_with(&prefix));
        below.map(|(name, id)| (name.clone(), *id)).collect()
    }

    fn limited_bytes(&self) -> u64 {
        let limited = |name: &str| name.starts_with("journal/") || name.starts_with("snapshot/");
        self.names.iter().filter(|(name, _)| limited(name)).map(|(_, id)| self.files[*id].content.len() as u64).sum()
    }
}

impl FileState {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset..end);
    }

    fn set_length(&mut self, length: usize) {
        let old = self.content.len();
        self.content.resize(length, 0);
        self.dirty.push(old.min(length)..old.max(length));
    }

    fn sync(&mut self) {
        self.durable.resize(self.content.len(), 0);
        for range in self.dirty.drain(..) {
            let range = range.start.min(self.content.len())..range.end.min(self.content.len());
            self.durable[range.clone()].copy_from_slice(&self.content[range]);
        }
    }

    fn after_cut(&self, random: &mut Random) -> Self {
        let mut found = self.durable.clone();
        let lengths = (self.durable.len(), self.content.len());
        if !self.dirty.is_empty() {
            let between = lengths.0.min(lengths.1) + random.below(lengths.0.abs_diff(lengths.1) as u64 + 1) as usize;
            found.resize([lengths.0, lengths.1, between][random.below(3) as usize], 0);
        }
        let pages: BTreeSet<usize> =
            self.dirty.iter().flat_map(|range| range.start / PAGE..range.end.div_ceil(PAGE)).collect();
        for page in pages.into_iter().filter(|_| random.chance(50)).collect::<Vec<_>>() {
            let torn = random.chance(15);
            for sector in (page * PAGE..(page + 1) * PAGE).step_by(SECTOR) {
                let end = (sector + SECTOR).min(self.content.len()).min(found.len());
                if sector < end && !(torn && random.chance(50)) {
                    found[sector..end].copy_from_slice(&self.content[sector..end]);
                }
            }
        }
        Self { durable: found.clone(), content: found, dirty: Vec::new() }
    }
}

fn set(names: &mut BTreeMap<String, usize>, name: &str, id: Option<usize>) {
    match id {
        Some(id) => names.insert(name.to_owned(), id),
        None => names.remove(name),
    };
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        let id = match (world.names.get(name).copied(), create) {
            (Some(_), true) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (None, false) => return Err(missing()),
            (Some(id), false) => id,
            (None, true) => {
                world.step()?;
                world.files.push(FileState::default());
                let id = world.files.len() - 1;
                world.rename(&[folder_of(name)], vec![(name.to_owned(), Some(id))]);
                id
            }
        };
        let journal = name.starts_with("journal/");
        let limited = journal || name.starts_with("snapshot/");
        Ok(Arc::new(File { disk: self.clone(), id, journal, limited }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        let mut names = Vec::new();
        if let Some(id) = world.names.get(from).copied() {
            names = vec![(from.to_owned(), None), (to.to_owned(), Some(id))];
        } else {
            assert!(world.below(to).is_empty(), "{to} is not free");
            for (name, id) in world.below(from) {
                let moved = format!("{to}{}", &name[from.len()..]);
                names.extend([(name, None), (moved, Some(id))]);
            }
        }
        if names.is_empty() {
            return Err(missing());
        }
        world.rename(&[folder_of(from), folder_of(to)], names);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(name) {
            return Err(missing());
        }
        world.step()?;
        world.rename(&[folder_of(name)], vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        self.world().folders.insert(name.to_owned());
        Ok(())
    }

    fn remove_folder(&self, name: &str) -> io::Result<()> {
        let below = self.world().below(name);
        below.iter().try_for_each(|(name, _)| self.remove(name))
    }

    /// A folder is seen if there is a file in it or below it.
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let world = self.world();
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let inside = world.names.keys().filter_map(|name| name.strip_prefix(&prefix));
        let names: BTreeSet<&str> = inside.filter_map(|name| name.split('/').next()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let mut world = self.world();
        world.step()?;
        world.syncs += 1;
        if world.faults.lying_sync {
            return Ok(());
        }
        // What is made durable takes with it what happened to the same names before.
        let mut touched: BTreeSet<String> = BTreeSet::new();
        let (mut synced, mut rest) = (Vec::new(), Vec::new());
        for renaming in std::mem::take(&mut world.unsynced).into_iter().rev() {
            let earlier = renaming.names.iter().any(|(name, _)| touched.contains(name));
            if earlier || renaming.folders.iter().any(|of| of == folder) {
                touched.extend(renaming.names.iter().map(|(name, _)| name.clone()));
                synced.push(renaming);
            } else {
                rest.push(renaming);
            }
        }
        rest.reverse();
        world.unsynced = rest;
        for (name, id) in synced.into_iter().rev().flat_map(|renaming| renaming.names) {
            set(&mut world.durable_names, &name, id);
        }
        Ok(())
    }

    fn life(&self) -> String {
        self.world().life.to_string()
    }

    fn syncs(&self) -> u64 {
        self.world().syncs
    }
}

impl DiskFile for File {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let world = self.disk.world();
        if world.operations > world.cut_at {
            return Err(io::Error::other("the power is gone"));
        }
        let from = offset as usize;
        let bytes = world.files[self.id].content.get(from..from + into.len());
        into.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        let stepped = world.step();
        if stepped.is_err() && world.operations > world.cut_at + 1 {
            return stepped;
        }
        if self.journal && world.faults.panics {
            drop(world);
            panic!("as the test asked");
        }
        let used = world.limited_bytes();
        let capacity = world.faults.capacity.filter(|_| self.limited);
        let file = &mut world.files[self.id];
        let growth = (offset as usize + bytes.len()).saturating_sub(file.content.len()) as u64;
        if let Some(capacity) = capacity
            && used + growth > capacity
        {
            let room = (capacity.saturating_sub(used) as usize).min(bytes.len());
            file.write(offset as usize, &bytes[..room]);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        // The write in which the power goes may still leave its mark.
        file.write(offset as usize, bytes);
        stepped
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.world().files[self.id].content.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step()?;
        world.files[self.id].set_length(length as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.step()?;
        world.syncs += 1;
        if self.journal && world.faults.failing_syncs > 0 {
            world.faults.failing_syncs -= 1;
            // As in the kernel: the pages count as clean from here on, whatever the disk holds.
            world.files[self.id].dirty.clear();
            return Err(io::Error::other("input/output error"));
        }
        if !world.faults.lying_sync {
            world.files[self.id].sync();
        }
        Ok(())
    }
}
