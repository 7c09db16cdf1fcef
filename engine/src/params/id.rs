//! Names of parameter files.
//!
//! `v28-<prefix>-<SHA-256 of the identifier>.params`, `.vk`, `.meta`, where the identifier is a line of text that spells
//! the circuit's numbers as the reference's debug output did in 2020. **Neither the profile nor the label function
//! enters**: Filecoin's and Filecash's files of 2 KiB have equal names and different contents.
//!
//! Source: `spec/snark.md` 4.5.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::sector::params::{
    self, BASE_DEGREE, EXPANDER_DEGREE, Profile, SectorParams, UnsupportedSectorSize, WINDOW_CHALLENGES,
    WINNING_CHALLENGES,
};

const VERSION: u32 = 28;

/// The circuits that have parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CircuitKind {
    /// Proof of replication.
    PoRep,
    /// Winning proof of space-time.
    Winning,
    /// Window proof of space-time.
    Window,
    /// Update of an empty sector.
    Update,
}

impl CircuitKind {
    /// All, in a fixed order.
    pub const ALL: [Self; 4] = [Self::PoRep, Self::Winning, Self::Window, Self::Update];
}

impl fmt::Display for CircuitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PoRep => "PoRep",
            Self::Winning => "winning PoSt",
            Self::Window => "window PoSt",
            Self::Update => "sector update",
        })
    }
}

/// The files of one set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Proving and verifying key.
    Params,
    /// Verifying key.
    VerifyingKey,
    /// The sector size as JSON.
    Meta,
}

impl FileKind {
    fn extension(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::VerifyingKey => "vk",
            Self::Meta => "meta",
        }
    }
}

/// A circuit that a network does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum UnknownCircuit {
    #[error(transparent)]
    Size(#[from] UnsupportedSectorSize),
    #[error("{profile} has no {circuit}")]
    Circuit { profile: Profile, circuit: CircuitKind },
}

/// A circuit of a network: which parameters are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamId {
    profile: Profile,
    circuit: CircuitKind,
    params: &'static SectorParams,
}

impl ParamId {
    /// The parameters of a circuit for sectors of `size_bytes`.
    ///
    /// # Errors
    /// [`UnknownCircuit`] when the network has no such sectors or no such circuit.
    pub fn new(profile: Profile, circuit: CircuitKind, size_bytes: u64) -> Result<Self, UnknownCircuit> {
        let params = params::for_size(profile, size_bytes)?;
        if profile == Profile::Filecash && circuit == CircuitKind::Update {
            return Err(UnknownCircuit::Circuit { profile, circuit });
        }
        Ok(Self { profile, circuit, params })
    }

    /// All parameters of a network, by ascending sector size.
    pub fn all(profile: Profile) -> impl Iterator<Item = Self> {
        params::all(profile).flat_map(move |params| {
            CircuitKind::ALL.into_iter().filter_map(move |circuit| Self::new(profile, circuit, params.size_bytes).ok())
        })
    }

    /// The network.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The circuit.
    pub fn circuit(&self) -> CircuitKind {
        self.circuit
    }

    /// The row of the sector size.
    pub fn params(&self) -> &'static SectorParams {
        self.params
    }

    /// The line whose hash stands in the names.
    pub fn identifier(&self) -> String {
        let SectorParams { size_bytes, layers, window_sectors, .. } = *self.params;
        match self.circuit {
            CircuitKind::PoRep => porep(self.params.nodes(), layers, self.params.partition_challenges(), &self.tree()),
            CircuitKind::Winning => post(size_bytes, 1, WINNING_CHALLENGES),
            CircuitKind::Window => post(size_bytes, WINDOW_CHALLENGES, window_sectors),
            CircuitKind::Update => update(self.params.nodes()),
        }
    }

    /// The name of a file.
    pub fn file_name(&self, file: FileKind) -> String {
        let tree = self.tree();
        let prefix = match self.circuit {
            CircuitKind::PoRep => format!("stacked-proof-of-replication-{tree}-sha256_hasher"),
            CircuitKind::Winning | CircuitKind::Window => format!("proof-of-spacetime-fallback-{tree}"),
            CircuitKind::Update => format!("empty-sector-update-{tree}"),
        };
        format!("v{VERSION}-{prefix}-{}.{}", hash(&self.identifier()), file.extension())
    }

    fn tree(&self) -> String {
        format!("merkletree-poseidon_hasher-{}", self.params.shape.name())
    }
}

impl fmt::Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.profile, self.params.name, self.circuit)
    }
}

fn hash(identifier: &str) -> String {
    hex::encode(Sha256::digest(identifier))
}

fn porep(nodes: u64, layers: usize, challenges: usize, tree: &str) -> String {
    format!(
        "layered_drgporep::PublicParams{{ graph: stacked_graph::StackedGraph{{expansion_degree: {EXPANDER_DEGREE} \
         base_graph: drgraph::BucketGraph{{size: {nodes}; degree: {BASE_DEGREE}; hasher: poseidon_hasher}} }}, \
         challenges: LayerChallenges {{ layers: {layers}, max_count: {challenges} }}, tree: {tree} }}"
    )
}

fn post(size_bytes: u64, challenges: usize, sectors: usize) -> String {
    format!(
        "FallbackPoSt::PublicParams{{sector_size: {size_bytes}, challenge_count: {challenges}, sector_count: {sectors}}}"
    )
}

fn update(nodes: u64) -> String {
    format!("empty_sector_update::PublicParams{{ sector_nodes: {nodes} }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// spec/snark.md 4.5: PoRep, winning, window, update.
    #[rustfmt::skip]
    const NAMES: &[(u64, [&str; 4])] = &[
        (KIB, [
            "",
            "",
            "",
            "77ab671e2b61ef948fb6979f6c90cf3d319e194b4490e3190859e23f282c8250",
        ]),
        (2 * KIB, [
            "032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f",
            "3ea05428c9d11689f23529cde32fd30aabd50f7d2c93657c1d3650bca3e8ea9e",
            "0170db1f394b35d995252228ee359194b13199d259380541dc529fb0099096b0",
            "fb9e095bebdd77511c0269b967b4d87ba8b8a525edaa0e165de23ba454510194",
        ]),
        (4 * KIB, [
            "71fadf776fff80d5977d027cdf5b4af941c75de6aafee6530ff15997f7173b9b",
            "1b919095872c3abb6e84fb6060425159f5ddd55c982df1853100e66919c70d34",
            "cc42931263e38853659466f248a6d623b702bf9ec49f687b2a931cef727c1069",
            "86f9265ed999ecebd51ecb470f0ad59033c2f67efc0179811f60a8561bbf2fb7",
        ]),
        (8 * KIB, [
            "",
            "",
            "",
            "806c2a39da6a8234f753d3a555b2205cf036ee86799e79d35d58a161cf158435",
        ]),
        (16 * KIB, [
            "5d6414be6742cfc2d41b04c9f12eacd8f78775cf01c1f5cdcf5b370808fe5b74",
            "fb97aa10509b0b9a3663c412f4362c4899d88bc4fcd680ab5898a4b5c594c9ca",
            "457fef4290dae6633b426166ae92f2e7732fe528b75fec3226dc479ce7c95662",
            "6c63c2c7caaffe0f5b745c60dfe539d35860b620686b52e138fb373ed5b68004",
        ]),
        (32 * KIB, [
            "2a21b24b412f71b8441648d2cd849229afd278d96964baf1a0f2712f4afbadfd",
            "46ced5cb1fda8c92490b22b2af7bd1adedace49a0a40539f96bea1082b740ebc",
            "0f2270b825bd80be1b341ad648b96c9cbf744a38c50921dc734e4a251a48447b",
            "ac7ca4f57f12169edc7e40c5d842c15dc47662228f2c245c97d1ca4dffca0bdd",
        ]),
        (8 * MIB, [
            "ecd683648512ab1765faa2a5f14bab48f676e633467f0aa8aad4b55dcb0652bb",
            "50c7368dea9593ed0989e70974d28024efa9d156d585b7eea1be22b2e753f331",
            "5294475db5237a2e83c3e52fd6c2b03859a1831d45ed08c4f35dbf9a803165a9",
            "92180959e1918d26350b8e6cfe217bbdd0a2d8de51ebec269078b364b715ad63",
        ]),
        (16 * MIB, [
            "86c715b389cbfdcb1c84b73e4bf276474652288a6aefcaa9f9600c21b0cff44e",
            "6f17428086c4e8ebe4fe3cb08be628669bf3e16652c22a78e1fa53e9e83feaf4",
            "8feba84565cc48dcdb48c9b2957754a8b91e1bfa1fc1348791d1a3fda9b5ea09",
            "05c0e7da0d0341a1e5cb5ed6f34be85cc401bb05d23c10b207bae063b4aab9e3",
        ]),
        (512 * MIB, [
            "6babf46ce344ae495d558e7770a585b2382d54f225af8ed0397b8be7c3fcd472",
            "7d739b8cf60f1b0709eeebee7730e297683552e4b69cab6984ec0285663c5781",
            "0cfb4f178bbb71cf2ecfcd42accce558b27199ab4fb59cb78f2483fe21ef36d9",
            "61fa69f38b9cc771ba27b670124714b4ea77fbeae05e377fb859c4a43b73a30c",
        ]),
        (GIB, [
            "002b03e3cbccd5d23c5f673a39ec4127ae31a1820be2faa32f72fdc75cf262c2",
            "bbd6dae94a7b8b69d4d020e0562f8640033a09b4a500ad3ab68f696fcf521519",
            "f3aab9038a63efce6e3dc362dc6a7f7a01f078100441320740f23d626e3dd4cb",
            "",
        ]),
        (4 * GIB, [
            "fcc4520bb35a7a20aa871fbad43e6aa887de9fbe1131c5cb365c47c83601a5b2",
            "23807ff142251ff42f38810834724169c8f81ca563d360f1502363f6f8ad580c",
            "3be65b9045f13d2c857d62c18a5dcc9a7a83b0ff84e61a91979ba1ba6d1812c7",
            "",
        ]),
        (16 * GIB, [
            "07c0adb3191b18918d631375516125e2900a1c437745539389cf154ec430c1c2",
            "a01cdbef817cac42c9566e38490f0b4d299e2752af52a78b2a9d38b24286d5b4",
            "14020a794b2c2191f4e7462ed8cb9b86f2a2d719b1d13e6581d80ad981e6b098",
            "",
        ]),
        (32 * GIB, [
            "82a357d2f2ca81dc61bb45f4a762807aedee1b0a53fd6c4e77b46a01bfef7820",
            "559e581f022bb4e4ec6e719e563bf0e026ad6de42e56c18714a2c692b1b88d7e",
            "0377ded656c6f524f1618760bffe4e0a1c51d5a70c4509eedae8a27555733edc",
            "3b7f44a9362e3985369454947bc94022e118211e49fd672d52bec1cbfd599d18",
        ]),
        (64 * GIB, [
            "96f1b4a04c5c51e4759bbf224bbc2ef5a42c7100f16ec0637123f16a845ddfb2",
            "b62098629d07946e9028127e70295ed996fe3ed25b0f9f88eb610a0ab4385a3c",
            "2627e4006b67f99cef990c0a47d5426cb7ab0a0ad58fc1061547bf2d28b09def",
            "102e1444a7e9a97ebf1e3d6855dcc77e66c011ea66f936d9b2c508f87f2f83a7",
        ]),
    ];

    #[test]
    fn names_match_reference() {
        for &(size, hashes) in NAMES {
            if hashes[0].is_empty() {
                // Only updates have parameters for 1 and 8 KiB.
                assert_eq!(hash(&update(size / 32)), hashes[3]);
                continue;
            }
            let profile = if [4 * GIB, 16 * GIB].contains(&size) { Profile::Filecash } else { Profile::Filecoin };
            for (circuit, expected) in CircuitKind::ALL.into_iter().zip(hashes) {
                let id = ParamId::new(profile, circuit, size);
                if profile == Profile::Filecash && circuit == CircuitKind::Update {
                    assert_eq!(id, Err(UnknownCircuit::Circuit { profile, circuit }));
                } else if !expected.is_empty() {
                    let id = id.unwrap();
                    assert_eq!(hash(&id.identifier()), expected, "{id}");
                }
            }
        }
    }

    #[test]
    fn file_names_match_reference() {
        let name = |circuit, file| ParamId::new(Profile::Filecoin, circuit, 2 * KIB).unwrap().file_name(file);
        assert_eq!(
            name(CircuitKind::PoRep, FileKind::Params),
            "v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-\
             032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params"
        );
        assert_eq!(
            name(CircuitKind::Window, FileKind::VerifyingKey),
            "v28-proof-of-spacetime-fallback-merkletree-poseidon_hasher-8-0-0-\
             0170db1f394b35d995252228ee359194b13199d259380541dc529fb0099096b0.vk"
        );
        assert_eq!(
            name(CircuitKind::Update, FileKind::Meta),
            "v28-empty-sector-update-merkletree-poseidon_hasher-8-0-0-\
             fb9e095bebdd77511c0269b967b4d87ba8b8a525edaa0e165de23ba454510194.meta"
        );
    }

    #[test]
    fn networks_have_their_own_circuits() {
        assert_eq!(ParamId::all(Profile::Filecoin).count(), 10 * 4);
        assert_eq!(ParamId::all(Profile::Filecash).count(), 12 * 3);
        assert!(matches!(ParamId::new(Profile::Filecoin, CircuitKind::PoRep, 4 * GIB), Err(UnknownCircuit::Size(_))));
        assert_eq!(
            ParamId::new(Profile::Filecash, CircuitKind::Window, 16 * GIB).unwrap().to_string(),
            "filecash 16GiB window PoSt"
        );
    }
}
