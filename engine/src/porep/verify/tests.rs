use super::*;
use crate::config::Config;
use crate::graph::Graph;
use crate::job::{Cancel, Quiet};
use crate::merkle::path::ProofData;
use crate::porep::challenges::Challenges;
use crate::porep::codec::read_partitions;
use crate::porep::outputs::Commit1Output;
use crate::sector::{PoRepId, Profile, TreeShape};

const V1: &[u8] = include_bytes!("../../../../tests/vectors/filecash-2kib-c1-v1.json");
const V1_1: &[u8] = include_bytes!("../../../../tests/vectors/filecash-2kib-c1-v1_1.json");
const MINI_4: &[u8] = include_bytes!("../../../../tests/vectors/filecash-mini4-vanilla.json");
const MINI_16: &[u8] = include_bytes!("../../../../tests/vectors/filecash-mini16-vanilla.json");

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    run(&Job { config: &Config::default(), progress: &Quiet, cancel: &Cancel::default() })
}

fn node(text: &str) -> Node {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// Everything a statement borrows.
struct Case {
    shape: ProofShape,
    graph: Graph,
    replica_id: Node,
    comm_d: Node,
    comm_r: Node,
    challenges: Vec<Vec<u64>>,
    proofs: Vec<Vec<Proof>>,
}

impl Case {
    fn verify(&self) -> Result<(), VanillaError> {
        let parents = |node| self.graph.parents(node);
        let Self { shape, replica_id, comm_d, comm_r, challenges, proofs, .. } = self;
        let statement = Statement { shape: *shape, replica_id, comm_d, comm_r, parents: &parents };
        with_job(|job| statement.verify(job, challenges, proofs))
    }

    /// What is wrong after a change of the only or last challenge's proof.
    fn broken(&self, change: impl FnOnce(&mut Proof)) -> VanillaError {
        let mut proofs = self.proofs.clone();
        change(proofs[0].last_mut().unwrap());
        let challenges = self.challenges.clone();
        let case = Case { proofs, challenges, graph: self.graph.clone(), ..*self };
        match case.verify().unwrap_err() {
            VanillaError::At { partition: 0, source, .. } => *source,
            other => other,
        }
    }
}

/// tests/vectors/filecash-2kib-c1-*.json; spec/filecash-profile.md 11.
fn sector_2kib(bytes: &[u8]) -> Case {
    let (proof, output) = Commit1Output::from_api_json(Profile::Filecash, bytes).unwrap();
    let config = proof.config();
    let Commit1Output { vanilla_proofs, comm_r, comm_d, replica_id, seed, .. } = output;
    let challenges =
        Challenges { config: &config, replica_id: &replica_id, comm_r: &comm_r, seed: &seed }.all().unwrap();
    let shape = ProofShape::from(&config);
    Case { shape, graph: Graph::new(&config), replica_id, comm_d, comm_r, challenges, proofs: vanilla_proofs }
}

/// tests/vectors/filecash-mini*-vanilla.json; spec/filecash-profile.md 11.
fn reduced(bytes: &[u8], [sub, layers]: [usize; 2], [nodes, challenge]: [u64; 2], [comm_d, comm_r]: [&str; 2]) -> Case {
    let proofs = read_partitions(Profile::Filecash, bytes).unwrap();
    let shape = ProofShape { profile: Profile::Filecash, nodes, layers, tree: TreeShape { base: 8, sub, top: 0 } };
    let porep_id = PoRepId::from_number(if sub == 0 { 5 } else { 6 });
    Case {
        shape,
        graph: Graph::over(nodes, porep_id, true),
        replica_id: node("a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbe3f"),
        comm_d: node(comm_d),
        comm_r: node(comm_r),
        challenges: vec![vec![challenge]],
        proofs,
    }
}

fn mini_4() -> Case {
    let comm_d = "63a10de286f8043bd6748a19f19fb060620c0011dfbec361fa5947be33f83824";
    let comm_r = "554fe815974272375f8f00e94be61d8b3870191062aee8c3e7e9387f870b6355";
    reduced(MINI_4, [0, 8], [64, 58], [comm_d, comm_r])
}

fn mini_16() -> Case {
    let comm_d = "3bd6c241408fa2e068a483d34ddc6dd49d4cd29b3cb7dbb2c0260a82b7555f0b";
    let comm_r = "f9d6a665f62fb935ee1f75a8d5220bf3963356492b75276845dfc58e84357e44";
    reduced(MINI_16, [4, 5], [256, 64], [comm_d, comm_r])
}

#[test]
fn vanilla_proofs_of_the_fork_hold() {
    for case in [sector_2kib(V1), sector_2kib(V1_1), mini_4(), mini_16()] {
        case.verify().unwrap();
    }
}

#[test]
fn reduced_shapes_have_the_forks_commitments() {
    let roots = |case: Case| {
        let proof = &case.proofs[0][0];
        let comm_c = proof.replica_column_proofs.c_x.inclusion_proof.root();
        [hex::encode(comm_c), hex::encode(proof.comm_r_last_proof.root())]
    };
    let expected = [
        "6358fa8e68a01b5addb8591f83a818a8b5369d31fdf7d80a58314777870fde54",
        "106b36e12d93535a900708135b42c5ad0e93fb6f7da41731227ebfb51755044b",
    ];
    assert_eq!(roots(mini_4()), expected);
    let expected = [
        "98e68fa6bbde81165887114d48e9c517ea9f58415869a85f180bd0d1d150d528",
        "cb30724078b2ad0ba7731d333ab5d324780cac73770b63a3522cbf2c6ca0e10c",
    ];
    assert_eq!(roots(mini_16()), expected);
}

#[test]
fn public_inputs_bind_the_proof() {
    let changed = |change: &dyn Fn(&mut Case)| {
        let mut case = sector_2kib(V1);
        change(&mut case);
        match case.verify().unwrap_err() {
            VanillaError::At { source, .. } => *source,
            other => other,
        }
    };
    let comm_r = changed(&|case| case.comm_r[0] ^= 1);
    assert!(matches!(comm_r, VanillaError::Commitment { what: "comm_r", .. }), "{comm_r}");
    let comm_d = changed(&|case| case.comm_d[0] ^= 1);
    assert!(matches!(comm_d, VanillaError::Commitment { what: "comm_d", .. }), "{comm_d}");
    let replica_id = changed(&|case| case.replica_id[0] ^= 1);
    assert!(matches!(replica_id, VanillaError::Label { layer: 1, .. }), "{replica_id}");
    let challenge = changed(&|case| case.challenges[0][1] ^= 1);
    assert!(matches!(challenge, VanillaError::Opening { tree: "TreeD", .. }), "{challenge}");
    let order = changed(&|case| case.proofs[0].swap(0, 1));
    assert!(matches!(order, VanillaError::Opening { tree: "TreeD", .. }), "{order}");
    let graph = changed(&|case| case.graph = Graph::over(64, PoRepId::from_number(1), true));
    assert!(matches!(graph, VanillaError::Parent { .. }), "{graph}");
    let legacy = changed(&|case| case.graph = Graph::over(64, PoRepId::from_number(0), false));
    assert!(matches!(legacy, VanillaError::Parent { .. }), "{legacy}");
    let profile = changed(&|case| case.shape.profile = Profile::Filecoin);
    assert!(matches!(profile, VanillaError::Label { .. }), "{profile}");
    let fewer = changed(&|case| drop(case.proofs[0].pop()));
    assert!(matches!(fewer, VanillaError::Malformed(MalformedProof::Count { .. })), "{fewer}");
    let outside = changed(&|case| case.challenges[0][0] = 64);
    assert!(matches!(outside, VanillaError::Malformed(MalformedProof::NoSuchNode { .. })), "{outside}");
}

#[test]
fn one_changed_value_is_noticed_wherever_it_stands() {
    for case in [sector_2kib(V1_1), mini_4(), mini_16()] {
        let label = case.broken(|proof| proof.replica_column_proofs.c_x.column.rows[1][0] ^= 1);
        assert!(matches!(label, VanillaError::Column { .. }), "{label}");
        let parent = case.broken(|proof| proof.replica_column_proofs.exp_parents[3].column.rows[0][0] ^= 1);
        assert!(matches!(parent, VanillaError::Column { .. }), "{parent}");
        let labeling = case.broken(|proof| proof.labeling_proofs[1].parents[36][0] ^= 1);
        assert!(matches!(labeling, VanillaError::ParentLabels { layer: 2, .. }), "{labeling}");
        let encoding = case.broken(|proof| proof.encoding_proof.parents[0][0] ^= 1);
        assert!(matches!(encoding, VanillaError::ParentLabels { .. }), "{encoding}");
        let swapped = case.broken(|proof| proof.replica_column_proofs.drg_parents.swap(0, 1));
        assert!(matches!(swapped, VanillaError::Parent { .. }), "{swapped}");
        let foreign =
            case.broken(|proof| proof.comm_r_last_proof = proof.replica_column_proofs.c_x.inclusion_proof.clone());
        assert!(matches!(foreign, VanillaError::Commitment { what: "comm_r" | "comm_r_last", .. }), "{foreign}");
        let index = case.broken(|proof| {
            let (ProofData::Single { path, .. }
            | ProofData::Sub { base_proof: path, .. }
            | ProofData::Top { base_proof: path, .. }) = &mut proof.comm_d_proofs.data;
            path.path[2].index ^= 1;
        });
        assert!(matches!(index, VanillaError::Opening { tree: "TreeD", .. }), "{index}");
    }
}

/// The reference's verifier takes any 37 labels that hash to the label.
#[test]
fn labels_of_other_nodes_do_not_pass_for_parents() {
    let case = sector_2kib(V1);
    let error = case.broken(|proof| {
        let foreign = proof.labeling_proofs[0].parents.clone();
        proof.labeling_proofs[1].parents = foreign;
    });
    assert!(matches!(error, VanillaError::ParentLabels { layer: 2, .. }), "{error}");
}
