//! Arithmetic of a sector's trees: rows, their places in a file, discarded rows, base trees and the levels above them.
//!
//! A tree of arity a over `m = aᵏ` leaves has `k + 1` rows and `(a·m − 1)/(a − 1)` nodes. Files hold rows one after the
//! other, leaves first, the root last; TreeR-last files begin at a higher row. A compound tree is B base trees of
//! arity 8 over consecutive ranges of the sector's nodes, joined by one level of arity `sub` and one of arity `top`.
//!
//! Source: `spec/replication.md` 0.4, 3.2, 6.3, 6.4.

use super::{SectorParams, TreeShape};

/// Arity of TreeD and of every tree of a piece.
pub const DATA_ARITY: usize = 2;

/// A number of leaves that is no power of the arity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of arity {arity} cannot have {leaves} leaves")]
pub struct NotAPower {
    /// Children of a node.
    pub arity: usize,
    /// Leaves asked for.
    pub leaves: u64,
}

/// The rows of one tree of a single arity, and where they stand in a file that begins at row `first_stored`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    arity: usize,
    leaves: u64,
    rows: usize,
    first_stored: usize,
}

impl Rows {
    /// The rows above `leaves` leaves, all of them stored.
    ///
    /// # Errors
    /// [`NotAPower`] unless `leaves` is a power of `arity`, itself 2 or more.
    pub fn new(arity: usize, leaves: u64) -> Result<Self, NotAPower> {
        let refused = NotAPower { arity, leaves };
        if arity < 2 || leaves == 0 {
            return Err(refused);
        }
        let (mut rest, mut rows) = (leaves, 1);
        while rest > 1 {
            if rest % arity as u64 != 0 {
                return Err(refused);
            }
            rest /= arity as u64;
            rows += 1;
        }
        Ok(Self { arity, leaves, rows, first_stored: 0 })
    }

    /// The same rows in a file without row 0 and the `discarded` rows above it.
    ///
    /// The root is always stored: more than can be discarded counts as all but the root.
    #[must_use]
    pub fn without(self, discarded: usize) -> Self {
        Self { first_stored: (discarded + 1).min(self.rows - 1), ..self }
    }

    /// Children of a node.
    pub fn arity(self) -> usize {
        self.arity
    }

    /// Nodes of row 0.
    pub fn leaves(self) -> u64 {
        self.leaves
    }

    /// Number of rows, leaves and root included.
    pub fn count(self) -> usize {
        self.rows
    }

    /// The lowest row in the file.
    pub fn first_stored(self) -> usize {
        self.first_stored
    }

    /// Nodes of row `row`, which is below [`Rows::count`].
    pub fn row_len(self, row: usize) -> u64 {
        (0..row).fold(self.leaves, |len, _| len / self.arity as u64)
    }

    /// Nodes in the file before row `row`, which is stored.
    pub fn row_offset(self, row: usize) -> u64 {
        (self.first_stored..row).map(|row| self.row_len(row)).sum()
    }

    /// Nodes in the file.
    pub fn stored(self) -> u64 {
        (self.first_stored..self.rows).map(|row| self.row_len(row)).sum()
    }

    /// Nodes of the whole tree.
    pub fn total(self) -> u64 {
        Self { first_stored: 0, ..self }.stored()
    }
}

/// Rows above the leaves that a TreeR-last file leaves out, when `configured` are asked for.
///
/// Trees of one or two rows lose none, those of three lose one; a tree keeps its root and the row below it otherwise.
fn rows_to_discard(rows: usize, configured: usize) -> usize {
    match rows {
        0..=2 => 0,
        3 => 1,
        _ => configured.min(rows - 2),
    }
}

/// What of a sector its trees depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    nodes: u64,
    layers: usize,
    shape: TreeShape,
    base: Rows,
}

impl Geometry {
    /// A sector of `nodes` nodes under `layers` layers, with compound trees of `shape`.
    ///
    /// # Errors
    /// [`NotAPower`] unless the base trees divide the nodes and have a power of the base arity of leaves.
    pub fn new(nodes: u64, layers: usize, shape: TreeShape) -> Result<Self, NotAPower> {
        let trees = shape.base_trees() as u64;
        if !nodes.is_power_of_two() || !nodes.is_multiple_of(trees) {
            return Err(NotAPower { arity: shape.base, leaves: nodes });
        }
        Ok(Self { nodes, layers, shape, base: Rows::new(shape.base, nodes / trees)? })
    }

    /// The geometry of a supported sector.
    pub fn of(params: &SectorParams) -> Self {
        Self::new(params.nodes(), params.layers, params.shape)
            .expect("base trees of every row of the table have a power of 8 leaves, checked in a test there")
    }

    /// Nodes of the sector.
    pub fn nodes(self) -> u64 {
        self.nodes
    }

    /// Layers of labels, the arity of a column's hash.
    pub fn layers(self) -> usize {
        self.layers
    }

    /// Arities of the compound trees.
    pub fn shape(self) -> TreeShape {
        self.shape
    }

    /// Number of base trees.
    pub fn base_trees(self) -> usize {
        self.shape.base_trees()
    }

    /// Rows of one base tree, all stored: as in a TreeC file.
    pub fn base(self) -> Rows {
        self.base
    }

    /// Rows of a base tree as stored in a TreeR-last file, when `configured` rows are to be discarded.
    pub fn base_r_last(self, configured: usize) -> Rows {
        self.base.without(self.rows_to_discard(configured))
    }

    /// Rows above the leaves that TreeR-last files leave out, when `configured` are asked for.
    pub fn rows_to_discard(self, configured: usize) -> usize {
        rows_to_discard(self.base.count(), configured)
    }

    /// Rows of a base tree as stored in a TreeR-last file of `nodes` nodes; `None` for a number that none has.
    pub fn base_r_last_of(self, nodes: u64) -> Option<Rows> {
        (0..self.base.count()).map(|discarded| self.base.without(discarded)).find(|rows| rows.stored() == nodes)
    }

    /// Rows of TreeD, all stored.
    pub fn data(self) -> Rows {
        Rows::new(DATA_ARITY, self.nodes).expect("the number of nodes is a power of two, checked in new")
    }

    /// Rows of the part of TreeD above the leaves of one base tree; its root is in row `data_part().count() - 1` of TreeD.
    pub fn data_part(self) -> Rows {
        Rows::new(DATA_ARITY, self.base.leaves()).expect("base trees divide a power of two, checked in new")
    }

    /// Base tree and place in it of a leaf.
    pub fn locate(self, leaf: u64) -> (usize, u64) {
        ((leaf / self.base.leaves()) as usize, leaf % self.base.leaves())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{Profile, params};

    /// spec/replication.md 3.2, the table of file sizes: TreeD, TreeC and TreeR-last.
    #[test]
    fn file_sizes_match_reference() {
        let vectors = [
            (Profile::Filecoin, 2 << 10, 4064, (1, 2336), 1, 32),
            (Profile::Filecoin, 4 << 10, 8160, (2, 2336), 1, 32),
            (Profile::Filecoin, 16 << 10, 32736, (8, 2336), 1, 32),
            (Profile::Filecoin, 32 << 10, 65504, (16, 2336), 1, 32),
            (Profile::Filecoin, 8 << 20, 16777184, (1, 9586976), 2, 18720),
            (Profile::Filecoin, 16 << 20, 33554400, (2, 9586976), 2, 18720),
            (Profile::Filecoin, 512 << 20, 1073741792, (1, 613566752), 2, 1198368),
            (Profile::Filecoin, 1 << 30, 2147483616, (2, 613566752), 2, 1198368),
            (Profile::Filecoin, 32 << 30, 68719476704, (8, 4908534048), 2, 9586976),
            (Profile::Filecoin, 64 << 30, 137438953440, (16, 4908534048), 2, 9586976),
            (Profile::Filecash, 4 << 30, 8589934560, (1, 4908534048), 2, 9586976),
            (Profile::Filecash, 16 << 30, 34359738336, (4, 4908534048), 2, 9586976),
        ];
        for (profile, size, tree_d, tree_c, discarded, tree_r_last) in vectors {
            let geometry = Geometry::of(params::for_size(profile, size).unwrap());
            assert_eq!(geometry.data().stored() * 32, tree_d, "{size}");
            assert_eq!((geometry.base_trees(), geometry.base().stored() * 32), tree_c, "{size}");
            assert_eq!(geometry.rows_to_discard(2), discarded, "{size}");
            assert_eq!(geometry.base_r_last(2).stored() * 32, tree_r_last, "{size}");
            assert_eq!(geometry.base_r_last_of(tree_r_last / 32), Some(geometry.base_r_last(2)), "{size}");
            assert_eq!(geometry.base_r_last_of(2), None, "{size}");
        }
    }

    /// spec/replication.md 3.2, the rule for discarded rows.
    #[test]
    fn root_and_the_row_below_are_kept() {
        assert_eq!([1, 2, 3, 4, 7, 10].map(|rows| rows_to_discard(rows, 2)), [0, 0, 1, 2, 2, 2]);
        assert_eq!([1, 2, 3, 4, 7, 10].map(|rows| rows_to_discard(rows, 99)), [0, 0, 1, 2, 5, 8]);
        assert_eq!([1, 2, 3, 4, 7, 10].map(|rows| rows_to_discard(rows, 0)), [0, 0, 1, 0, 0, 0]);
        assert_eq!(Rows::new(8, 64).unwrap().without(9).stored(), 1);
    }

    #[test]
    fn rows_stand_one_after_the_other() {
        let rows = Rows::new(8, 512).unwrap();
        assert_eq!((rows.count(), rows.total()), (4, 585));
        assert_eq!([0, 1, 2, 3].map(|row| rows.row_len(row)), [512, 64, 8, 1]);
        assert_eq!([0, 1, 2, 3].map(|row| rows.row_offset(row)), [0, 512, 576, 584]);
        let upper = rows.without(1);
        assert_eq!((upper.first_stored(), upper.row_offset(2), upper.row_offset(3), upper.stored()), (2, 0, 8, 9));
        assert_eq!(upper.total(), 585);
    }

    #[test]
    fn impossible_trees_are_refused() {
        assert!(Rows::new(8, 0).is_err() && Rows::new(8, 16).is_err() && Rows::new(1, 4).is_err());
        assert_eq!(Rows::new(8, 1).map(Rows::count), Ok(1));
        let shape = TreeShape { base: 8, sub: 8, top: 0 };
        assert!(Geometry::new(1 << 29, 2, shape).is_err());
        assert!(Geometry::new(4, 2, shape).is_err());
    }
}
