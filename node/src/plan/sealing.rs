//! Phases that hash: add piece, PC1, PC2, synthetic proofs, C1, unsealing.

use filecash_engine::hash::label_lanes::group_workers;
use filecash_engine::porep::proof::ProofShape;
use filecash_engine::porep::synthetic::file_bytes;
use filecash_engine::sector::Feature;
use filecash_engine::sector::params::DEGREE;
use filecash_engine::store::files::{CacheFile, CacheFiles};

use super::{Lifetime, NODE, Needs, Phase, Place, Question, sectors_at_once};

/// Bytes of a chunk of a piece that one thread hashes, and the most of them at a time.
const PIECE_CHUNK: u64 = 1 << 20;
const MOST_CHUNKS: u64 = 32;
/// The largest set of synthetic challenges.
const MOST_SYNTHETIC: u64 = 1 << 18;
/// Bytes that a random read takes from a disk.
const PAGE: u64 = 4096;
/// Bytes of vanilla proofs as JSON, for each of the binary form; measured.
const JSON: f64 = 4.43;
/// Columns that a challenge opens: its own and its parents'.
const COLUMNS: u64 = 1 + DEGREE as u64;
/// Paths in Poseidon trees that a challenge opens: those of the columns, and that of the replica.
const PATHS: u64 = COLUMNS + 1;

fn total(files: &[CacheFile]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

impl Question<'_> {
    fn files(&self) -> CacheFiles {
        CacheFiles::new(self.params(), self.rows_to_discard)
    }

    pub(super) fn add_piece(&self) -> Needs {
        let (mut needs, size) = (Needs::new(Phase::AddPiece), self.params().size_bytes);
        let chunks = (self.working_bytes() / 4 / PIECE_CHUNK).clamp(1, MOST_CHUNKS);
        // Two batches of raw bytes and a padded one.
        needs.working_bytes = 3 * (chunks * PIECE_CHUNK).min(size);
        needs.least_memory_bytes = 3 * PIECE_CHUNK.min(size);
        needs.file("staged data", Place::Sector, Lifetime::UntilProven, self.sectors * size);
        needs.read_bytes = self.sectors * self.params().unpadded_bytes();
        needs.written_bytes = self.sectors * size;
        needs.term("nodes of the pieces' SHA-256 trees", self.sectors_f() * self.nodes(), self.rates.sha_nodes);
        needs
    }

    pub(super) fn pc1(&self) -> Needs {
        let (mut needs, size, layers) = (Needs::new(Phase::Pc1), self.params().size_bytes, self.params().layers as u64);
        let at_once = sectors_at_once(self.params(), self.sectors, self.free_bytes);
        needs.working_bytes = self.batch_bytes(4);
        needs.least_memory_bytes = needs.working_bytes.min(1 << 20);
        let (table, is_file) = self.parent_table();
        let (sectors, threads) = (self.sectors as usize, self.rates.threads);
        let group = super::lockstep(self.config, self.sectors, self.free_bytes, threads);
        let at_work = group * group_workers(group, sectors, threads, at_once);
        let layers_bytes = 2 * size * at_work as u64;
        // In memory where the budget has room, else pages of files; TreeD is done by then.
        if layers_bytes <= self.working_bytes() {
            needs.working_bytes = needs.working_bytes.max(layers_bytes);
            if self.free_bytes.is_some_and(|free| free < layers_bytes + if is_file { table } else { 0 }) {
                needs.notes.push(format!(
                    "the budget has room for two layers in memory, {:.1} GiB, the machine has not; with a smaller budget \
                     they are pages of files, which the system can take back",
                    layers_bytes as f64 / (1_u64 << 30) as f64
                ));
            }
        } else {
            needs.mapped_bytes = layers_bytes;
        }
        if is_file {
            needs.mapped_bytes += table;
            needs.file("parent table, for all sectors", Place::ParentCache, Lifetime::Stays, table);
        } else {
            needs.besides_bytes = table;
        }
        let tree_d = self.files().tree_d().bytes;
        needs.file("tree-d", Place::Sector, Lifetime::UntilProven, self.sectors * tree_d);
        needs.file("layers", Place::Sector, Lifetime::UntilProven, self.sectors * layers * size);
        needs.file("sealed file, with the data", Place::Sector, Lifetime::Stays, self.sectors * size);
        needs.read_bytes = self.sectors * 2 * size + if is_file { table } else { 0 };
        needs.written_bytes = self.sectors * (tree_d + layers * size + size);
        let tree_d = self.shared(Phase::Pc1, self.rates.sha_nodes, |device| device.sha_nodes);
        needs.term("nodes of tree-d", self.sectors_f() * self.nodes(), tree_d);
        if is_file {
            needs.term("bytes of the parent table checked", table as f64, self.rates.digest_bytes);
            let seconds = self.nodes() / self.rates.parents;
            if seconds > 1.0 {
                needs.notes.push(format!("the first sector also makes the parent table, {:.1} min", seconds / 60.0));
            }
        }
        self.labels(&mut needs, at_once);
        self.warn_of_pages(&mut needs);
        needs
    }

    /// The labels of all sectors, and the digests of their layers on the same threads.
    fn labels(&self, needs: &mut Needs, at_once: usize) {
        let (threads, sectors) = (self.rates.threads, self.sectors as usize);
        let wanted = super::lockstep(self.config, self.sectors, self.free_bytes, threads);
        // Rates of another machine may be of other groups.
        let group = self.rates.lockstep.filter(|lockstep| lockstep.sectors == wanted);
        let (size, rate) = group.map_or((1, self.rates.labels), |group| (group.sectors, group.labels));
        if wanted > 1 && group.is_none() {
            needs.notes.push(format!("labels of {wanted} sectors in lockstep were not timed: as if one by one"));
        }
        let groups = sectors.div_ceil(size);
        let workers = group_workers(size, sectors, threads, at_once);
        let rounds = groups.div_ceil(workers) as f64;
        let of_a_sector = self.params().layers as f64 * self.nodes();
        let what = match (workers, size) {
            (1, 1) => "labels, one core".to_owned(),
            _ => format!("labels on each of {workers} cores, {size} sectors in lockstep"),
        };
        needs.term(what, rounds * size as f64 * of_a_sector, rate);
        let bytes = rounds * size as f64 * of_a_sector * NODE as f64;
        needs.term("bytes of layers whose digest is taken, there too", bytes, self.rates.digest_bytes);
    }

    fn warn_of_pages(&self, needs: &mut Needs) {
        if let Some(free) = self.free_bytes.filter(|free| *free < needs.mapped_bytes) {
            needs.notes.push(format!(
                "the parent table and two layers are {:.1} GiB, {:.1} GiB are free here: it goes on at the speed of the \
                 disk's random reads, and the time is a lower bound",
                needs.mapped_bytes as f64 / (1_u64 << 30) as f64,
                free as f64 / (1_u64 << 30) as f64
            ));
        }
    }

    pub(super) fn pc2(&self) -> Needs {
        let (mut needs, size, layers) = (Needs::new(Phase::Pc2), self.params().size_bytes, self.params().layers);
        needs.working_bytes = self.batch_bytes(2 * layers as u64 + 2).max(self.batch_bytes(7));
        needs.least_memory_bytes = needs.working_bytes.min(1 << 20);
        let (tree_c, tree_r_last) = (total(&self.files().tree_c()), total(&self.files().tree_r_last()));
        needs.file("tree-c", Place::Sector, Lifetime::UntilProven, self.sectors * tree_c);
        needs.file("tree-r-last", Place::Sector, Lifetime::Stays, self.sectors * tree_r_last);
        // One sector after the other.
        needs.file("replica, before it replaces the data", Place::Sector, Lifetime::Temporary, size);
        needs.read_bytes = self.sectors * size * (2 * layers as u64 + 2);
        needs.written_bytes = self.sectors * (tree_c + size + tree_r_last);
        let nodes = self.sectors_f() * self.nodes();
        let base = self.geometry().base();
        let parents = (base.total() - base.leaves()) as f64 * self.geometry().base_trees() as f64 * self.sectors_f();
        needs.term(
            "bytes of layers compared with their digests",
            nodes * NODE as f64 * layers as f64,
            self.rates.digest_bytes * self.threads().min(layers as f64),
        );
        let poseidon = |arity| {
            self.shared(Phase::Pc2, self.poseidon(arity), |device| super::near(&device.poseidon, arity).unwrap_or(0.0))
        };
        needs.term(format!("columns, Poseidon of {layers}"), nodes, poseidon(layers));
        needs.term("nodes of tree-c and tree-r-last, Poseidon of 8", 2.0 * parents, poseidon(8));
        needs.term("nodes of tree-d, which is checked", nodes, self.rates.sha_nodes);
        needs.term("nodes encoded", nodes, self.rates.encoded_nodes);
        needs
    }

    /// Hashes of the paths and columns that so many challenges open, in hashes of arity 8, and the labels.
    pub(super) fn opened(&self, challenges: f64) -> (f64, f64) {
        let levels =
            self.geometry().base().count() as u64 - 1 + self.geometry().base_trees().ilog2().div_ceil(3) as u64;
        let columns = COLUMNS as f64 * (self.params().layers as f64 + 1.0) / 9.0;
        let hashes = PATHS as f64 * levels as f64 + columns;
        (challenges * hashes, challenges * self.params().layers as f64)
    }

    /// Hashes below a node of the lowest row of a tree-r-last file.
    pub(super) fn rebuilt(&self) -> f64 {
        let rows = self.geometry().rows_to_discard(self.rows_to_discard) as u32;
        ((8_f64.powi(rows as i32 + 1) - 1.0) / 7.0).max(1.0)
    }

    pub(super) fn proof_shape(&self) -> ProofShape {
        ProofShape::from(self.config)
    }

    fn record_bytes(&self) -> u64 {
        file_bytes(&self.proof_shape(), 1) - file_bytes(&self.proof_shape(), 0)
    }

    /// Partitions of a seal's proof, and challenges of all of them.
    pub(super) fn partitions(&self) -> (u64, u64) {
        let params = self.params();
        let partitions = match self.config.feature {
            Feature::NonInteractive => params.non_interactive_partitions(),
            _ => params.partitions,
        };
        (partitions as u64, (partitions * params.partition_challenges()) as u64)
    }

    pub(super) fn synth(&self) -> Needs {
        let (mut needs, size) = (Needs::new(Phase::Synth), self.params().size_bytes);
        let (nodes, layers) = (self.params().nodes(), self.params().layers);
        let members = nodes.min(MOST_SYNTHETIC);
        let discarded = self.geometry().rows_to_discard(self.rows_to_discard) as u64;
        // Challenge and parents; nodes to check; siblings in the rows that are left out.
        let lists = 8 + 4 * DEGREE as u64 + 8 * COLUMNS + 20 + NODE * 7 * discarded;
        needs.working_bytes = (lists * members).min(self.working_bytes() / 2);
        needs.least_memory_bytes = (lists * members).min(1 << 20);
        let files = self.files();
        let trees = total(&files.for_commit());
        needs.mapped_bytes = trees + size;
        let bytes = file_bytes(&self.proof_shape(), members);
        needs.file(
            "synthetic proofs, in place of trees and layers",
            Place::Sector,
            Lifetime::UntilProven,
            self.sectors * bytes,
        );
        needs.written_bytes = self.sectors * bytes;
        // Openings are spread over everything.
        let different = |choices: u64, of: u64| of as f64 * (1.0 - (-(choices as f64) / of as f64).exp());
        let columns = different(members * COLUMNS, nodes);
        let touched = (columns * (layers as f64 + 2.0) * PAGE as f64) as u64;
        needs.read_bytes = self.sectors * touched.min(trees + size);
        let above = |arity: u64, opened: f64| {
            let rows = std::iter::successors(Some(nodes / arity), |row| Some(row / arity)).take_while(|row| *row > 0);
            rows.map(|row| (row as f64).min(opened)).sum::<f64>()
        };
        let sectors = self.sectors_f();
        needs.term(format!("columns, Poseidon of {layers}"), sectors * columns, self.poseidon(layers));
        let rebuilt = members as f64 * self.rebuilt();
        let checked = above(8, columns) + above(8, members as f64) + rebuilt.min(nodes as f64 / 7.0);
        needs.term("nodes of tree-c and tree-r-last, Poseidon of 8", sectors * checked, self.poseidon(8));
        needs.term("nodes of tree-d", sectors * above(2, members as f64), self.rates.sha_nodes);
        let labels = (members * layers as u64) as f64;
        needs.term("labels, all threads", sectors * labels, self.rates.labels * self.threads());
        needs
    }

    pub(super) fn c1(&self) -> Needs {
        let mut needs = Needs::new(Phase::C1);
        let (_, challenges) = self.partitions();
        let proofs = challenges * self.record_bytes();
        // As structures and as text.
        needs.besides_bytes = 2 * proofs + (JSON * proofs as f64) as u64;
        let text = (JSON * proofs as f64) as u64;
        needs.file("vanilla proofs", Place::Sector, Lifetime::UntilProven, self.sectors * text);
        needs.written_bytes = self.sectors * text;
        let layers = self.params().layers as u64;
        let levels = self.geometry().base().count() as u64;
        let from_synthetic = self.config.feature == Feature::Synthetic;
        let reads =
            if from_synthetic { 1 + self.record_bytes() / PAGE } else { COLUMNS * layers + PATHS * levels + 128 };
        needs.read_bytes = self.sectors * challenges * reads * PAGE;
        let all = self.sectors_f() * challenges as f64;
        let (hashes, labels) = self.opened(all);
        let rebuilt = if from_synthetic { 0.0 } else { all * self.rebuilt() };
        let alone = self.rates.poseidon_alone * self.threads();
        needs.term("hashes of paths and columns, Poseidon of 8", hashes + rebuilt, alone);
        needs.term("labels, all threads", labels, self.rates.labels * self.threads());
        needs
    }

    pub(super) fn unseal(&self) -> Needs {
        let (mut needs, size) = (Needs::new(Phase::Unseal), self.params().size_bytes);
        let (table, is_file) = self.parent_table();
        needs.working_bytes = (1_u64 << 20).min(size);
        needs.least_memory_bytes = needs.working_bytes;
        needs.mapped_bytes = 2 * size + if is_file { table } else { 0 };
        if !is_file {
            needs.besides_bytes = table;
        }
        needs.file("two layers", Place::Sector, Lifetime::Temporary, 2 * size);
        needs.file("the data", Place::Sector, Lifetime::Stays, self.sectors * self.params().unpadded_bytes());
        needs.read_bytes = self.sectors * (size + if is_file { table } else { 0 });
        needs.written_bytes = self.sectors * self.params().unpadded_bytes();
        let (sectors, labels) = (self.sectors_f(), self.params().layers as f64 * self.nodes());
        if is_file {
            needs.term("bytes of the parent table checked", sectors * table as f64, self.rates.digest_bytes);
        }
        needs.term("labels, one core", sectors * labels, self.rates.labels);
        needs.term("nodes decoded", sectors * self.nodes(), self.rates.encoded_nodes);
        needs.notes.push("of the whole sector; where the last layer is still there, no labels are made".to_owned());
        self.warn_of_pages(&mut needs);
        needs
    }
}
