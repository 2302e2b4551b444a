//! The patterns of an ACL as one tree over the bytes of paths, in which a `+` is an edge of its own.
//!
//! Each node is visited at most once in a search, and a subtree is skipped if no rule in it ranks above what is already found.
//! Literal bytes come first, and a rule whose first wildcard stands later ranks higher; so a search for a path that is named,
//! or that lies under a prefix, goes down one branch and is done.

use super::pattern::{Pattern, Piece};

const NONE: u32 = u32::MAX;

/// A rule in the tree: its number and its rank among all rules, from 1.
#[derive(Clone, Copy, Debug)]
struct Found {
    rule: u32,
    rank: u32,
}

const NOTHING: Found = Found { rule: NONE, rank: 0 };

#[derive(Clone, Debug)]
struct Node {
    /// The bytes between the parent and this node.
    label: Box<[u8]>,
    /// By the first byte of their labels.
    children: Vec<(u8, u32)>,
    /// What follows a `+` at this place.
    segment: u32,
    /// The rule whose path ends here.
    whole: Found,
    /// The rule whose path ends here in `*`.
    glob: Found,
    /// The highest rank here and below.
    best: u32,
}

impl Node {
    fn new(label: &[u8]) -> Self {
        Self { label: label.into(), children: Vec::new(), segment: NONE, whole: NOTHING, glob: NOTHING, best: 0 }
    }
}

/// Which rule counts for a path.
#[derive(Clone, Debug)]
pub(super) struct Trie(Vec<Node>);

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::new(&[])])
    }
}

impl Trie {
    /// The number of the rule that has this pattern; `number` if none has yet, which is then the one.
    pub(super) fn insert(&mut self, pattern: &Pattern, number: u32) -> u32 {
        let mut at = 0;
        for piece in pattern.pieces() {
            at = match piece {
                Piece::Literal(text) => self.insert_literal(at, text.as_bytes()),
                Piece::Segment => self.insert_segment(at),
            };
        }
        let Some(node) = self.node_mut(at) else { return number };
        let slot = if pattern.glob { &mut node.glob } else { &mut node.whole };
        if slot.rule == NONE {
            slot.rule = number;
        }
        slot.rule
    }

    /// Tells the tree how rules rank; to be called once, after the last insertion. `ranks` is by rule, from 1.
    pub(super) fn rank(&mut self, ranks: &[u32]) {
        let rank = |found: &mut Found| {
            found.rank = usize::try_from(found.rule).ok().and_then(|rule| ranks.get(rule)).copied().unwrap_or(0);
            found.rank
        };
        // Parents before children, so that going backwards every child is done before its parent.
        let mut order = vec![0];
        let mut next = 0;
        while let Some(node) = order.get(next).and_then(|&at| self.node(at)) {
            order.extend(node.children.iter().map(|(_, child)| *child));
            order.extend(Some(node.segment).filter(|&segment| segment != NONE));
            next += 1;
        }
        for at in order.into_iter().rev() {
            let below = self.node(at).map_or(0, |node| {
                let children = node.children.iter().map(|(_, child)| *child).chain([node.segment]);
                children.filter_map(|child| self.node(child)).map(|child| child.best).max().unwrap_or(0)
            });
            if let Some(node) = self.node_mut(at) {
                node.best = rank(&mut node.whole).max(rank(&mut node.glob)).max(below);
            }
        }
    }

    /// The rule of the highest rank that matches a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        self.search(path, || ())
    }

    /// The same, telling of every node that is looked at.
    fn search(&self, path: &[u8], mut looked: impl FnMut()) -> Option<u32> {
        let mut best = NOTHING;
        // Places after a `+`, still to be looked at. Allocates only where a `+` is met.
        let mut later: Vec<(u32, &[u8])> = Vec::new();
        let mut place = Some((0, path));
        while let Some((at, rest)) = place {
            looked();
            place = self.step(at, rest, &mut best, &mut later).or_else(|| later.pop());
        }
        Some(best.rule).filter(|&rule| rule != NONE)
    }

    /// Looks at one node; returns the literal way on.
    fn step<'p>(
        &self,
        at: u32,
        rest: &'p [u8],
        best: &mut Found,
        later: &mut Vec<(u32, &'p [u8])>,
    ) -> Option<(u32, &'p [u8])> {
        let node = self.node(at).filter(|node| node.best > best.rank)?;
        let rest = rest.strip_prefix(&*node.label)?;
        if node.glob.rank > best.rank {
            *best = node.glob;
        }
        if rest.is_empty() && node.whole.rank > best.rank {
            *best = node.whole;
        }
        if node.segment != NONE {
            let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            later.push((node.segment, rest.get(end..).unwrap_or_default()));
        }
        let first = rest.first()?;
        let child = node.children.binary_search_by_key(first, |(byte, _)| *byte).ok()?;
        node.children.get(child).map(|(_, child)| (*child, rest))
    }

    fn insert_segment(&mut self, at: u32) -> u32 {
        let segment = self.node(at).map_or(NONE, |node| node.segment);
        if segment != NONE {
            return segment;
        }
        let segment = self.push(Node::new(&[]));
        if let Some(node) = self.node_mut(at) {
            node.segment = segment;
        }
        segment
    }

    /// The node that lies `text` below `at`, made if it is not there.
    fn insert_literal(&mut self, mut at: u32, mut text: &[u8]) -> u32 {
        while let Some(&first) = text.first() {
            let Some(node) = self.node(at) else { return at };
            let child = match node.children.binary_search_by_key(&first, |(byte, _)| *byte) {
                Ok(index) => node.children.get(index).map_or(at, |(_, child)| *child),
                Err(index) => {
                    let child = self.push(Node::new(text));
                    if let Some(node) = self.node_mut(at) {
                        node.children.insert(index, (first, child));
                    }
                    return child;
                }
            };
            let label = self.node(child).map_or(&[][..], |node| &node.label);
            let common = label.iter().zip(text).take_while(|(a, b)| a == b).count();
            if common < label.len() {
                self.split(child, common);
            }
            text = text.get(common..).unwrap_or_default();
            at = child;
        }
        at
    }

    /// Cuts a node's label after `count` bytes; what the node was becomes its only child.
    fn split(&mut self, at: u32, count: usize) {
        let Some(node) = self.node_mut(at) else { return };
        let (head, tail) = node.label.split_at_checked(count).unwrap_or((&node.label, &[]));
        let (head, tail) = (Node::new(head), Box::<[u8]>::from(tail));
        let mut lower = std::mem::replace(node, head);
        lower.label = tail;
        let first = lower.label.first().copied().unwrap_or_default();
        let lower = self.push(lower);
        if let Some(node) = self.node_mut(at) {
            node.children.push((first, lower));
        }
    }

    fn push(&mut self, node: Node) -> u32 {
        self.0.push(node);
        u32::try_from(self.0.len() - 1).unwrap_or(NONE)
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.0.get(usize::try_from(at).ok()?)
    }

    fn node_mut(&mut self, at: u32) -> Option<&mut Node> {
        self.0.get_mut(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Rendered;
    use super::*;

    /// The tree of so many policies with twenty rules each.
    fn tree(policies: u32) -> Trie {
        let mut tree = Trie::default();
        let mut ranks = Vec::new();
        for (policy, rule) in (0..policies).flat_map(|policy| (0..20).map(move |rule| (policy, rule))) {
            let text = match rule % 3 {
                0 => format!("secret/data/team-{policy}/app-{rule}/*"),
                1 => format!("secret/data/team-{policy}/config-{rule}"),
                _ => format!("secret/+/team-{policy}/shared-{rule}"),
            };
            let number = policy * 20 + rule;
            assert_eq!(tree.insert(&Pattern::new(Rendered { text, filled: Vec::new() }), number), number);
            ranks.push(number + 1);
        }
        tree.rank(&ranks);
        tree
    }

    #[test]
    fn a_thousand_policies_cost_no_more_than_one() {
        let (one, hundred, thousand) = (tree(1), tree(100), tree(1000));
        let (mut few, mut many) = (0, 0);
        for path in [
            "secret/data/team-0/app-0/db",
            "secret/data/team-0/config-1",
            "secret/metadata/team-0/shared-2",
            "no/where",
        ] {
            let looked = |tree: &Trie| {
                let mut count = 0;
                tree.search(path.as_bytes(), || count += 1);
                count
            };
            assert_eq!(looked(&hundred), looked(&thousand), "{path}");
            few += looked(&one);
            many += looked(&thousand);
        }
        assert!(many * 2 <= few * 3, "{few} nodes with one policy, {many} with a thousand");
    }
}
