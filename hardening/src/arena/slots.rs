//! Which parts of the arena are taken: size classes over 64 KiB blocks. Offsets only; no memory is touched here.

/// A block holds slots of one class; it is also the largest slot.
pub(super) const BLOCK: usize = 64 * 1024;
const SMALLEST: usize = 16;
const CLASSES: usize = 13; // 16 B, 32 B, … 64 KiB

#[derive(Debug, Default)]
struct Block {
    /// Size of its slots; 0 while the block belongs to no class.
    slot: usize,
    /// Slots never handed out start here.
    fresh: usize,
    /// Indexes of slots that came back.
    returned: Vec<u16>,
    live: usize,
}

/// A place in the arena. Its offset is a multiple of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) size: usize,
}

/// The book of free and taken slots. Taking and returning cost a few steps, whatever is in use.
#[derive(Debug, Default)]
pub(super) struct Book {
    blocks: Vec<Block>,
    unused: Vec<usize>,
    /// By class: blocks that have a free slot.
    open: [Vec<usize>; CLASSES],
    pub(super) live_bytes: usize,
    pub(super) live_slots: usize,
}

fn class_of(size: usize) -> usize {
    (size / SMALLEST).trailing_zeros() as usize
}

impl Block {
    fn has_room(&self) -> bool {
        !self.returned.is_empty() || (self.fresh + 1) * self.slot <= BLOCK
    }
}

impl Book {
    pub(super) fn new(size: usize) -> Book {
        let count = size / BLOCK;
        Book {
            blocks: (0..count).map(|_| Block::default()).collect(),
            unused: (0..count).rev().collect(),
            ..Book::default()
        }
    }

    /// Takes a slot of at least `wanted` bytes. When its own class has none left, a larger slot serves.
    pub(super) fn take(&mut self, wanted: usize) -> Option<Place> {
        if wanted > BLOCK {
            return None;
        }
        let size = wanted.max(SMALLEST).next_power_of_two();
        let class = class_of(size);
        if self.open.get(class)?.is_empty()
            && let Some(number) = self.unused.pop()
        {
            let block = self.blocks.get_mut(number)?;
            block.slot = size;
            self.open.get_mut(class)?.push(number);
        }
        let open = self.open.iter_mut().skip(class).find(|open| !open.is_empty())?;
        let number = *open.last()?;
        let block = self.blocks.get_mut(number)?;
        let index = match block.returned.pop() {
            Some(index) => usize::from(index),
            None => {
                block.fresh += 1;
                block.fresh - 1
            }
        };
        block.live += 1;
        if !block.has_room() {
            open.pop();
        }
        self.live_bytes += block.slot;
        self.live_slots += 1;
        Some(Place { offset: number * BLOCK + index * block.slot, size: block.slot })
    }

    /// Takes back what [`Book::take`] gave. An empty block leaves its class.
    pub(super) fn give_back(&mut self, place: Place) {
        let number = place.offset / BLOCK;
        let class = class_of(place.size);
        let (Some(block), Some(open)) = (self.blocks.get_mut(number), self.open.get_mut(class)) else { return };
        let Ok(index) = u16::try_from((place.offset % BLOCK) / place.size) else { return };
        if !block.has_room() {
            open.push(number);
        }
        block.returned.push(index);
        block.live -= 1;
        self.live_bytes -= place.size;
        self.live_slots -= 1;
        if block.live == 0 {
            open.retain(|&other| other != number);
            *block = Block::default();
            self.unused.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_aligned_disjoint_and_all_come_back() {
        let mut book = Book::new(16 * BLOCK);
        let mut taken = Vec::new();
        let mut wanted = 1;
        while let Some(place) = book.take(wanted) {
            assert!(place.size >= wanted && place.offset % place.size == 0 && place.offset + place.size <= 16 * BLOCK);
            taken.push(place);
            wanted = wanted * 7 % 4093 + 1;
        }
        taken.sort_by_key(|place| place.offset);
        assert!(taken.windows(2).all(|pair| pair[0].offset + pair[0].size <= pair[1].offset));
        assert!(taken.len() > 50);
        taken.into_iter().for_each(|place| book.give_back(place));
        assert_eq!((book.live_slots, book.live_bytes, book.unused.len()), (0, 0, 16));
        assert_eq!((0..17).filter(|_| book.take(BLOCK).is_some()).count(), 16);
    }

    #[test]
    fn every_slot_of_a_class_is_used_before_it_is_full() {
        let mut book = Book::new(BLOCK);
        let places: Vec<_> = std::iter::from_fn(|| book.take(16)).collect();
        assert_eq!(places.len(), BLOCK / 16);
        book.give_back(places[7]);
        assert_eq!(book.take(1), Some(places[7]));
        assert_eq!(book.take(1), None);
        assert_eq!(book.take(BLOCK + 1), None);
    }

    #[test]
    fn a_larger_slot_serves_when_the_class_is_full() {
        let mut book = Book::new(BLOCK);
        let large = book.take(1024).unwrap();
        assert_eq!(book.take(16).map(|place| place.size), Some(1024));
        book.give_back(large);
    }
}
