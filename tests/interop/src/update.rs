//! Sector updates by either side in process, at every sector size, over the files of one folder.
//!
//! The old sector is `sealed` and `cache/`. Each side's update has a name, and its files are `NAME` and `NAME-cache/`.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use filecash_engine::Error;
use filecash_engine::api::{params, update};
use filecash_engine::backend::cpu::Cpu;
use filecash_engine::config::Config;
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::params::{CircuitKind, FileKind, ParamId, ParamStore};
use filecash_engine::sector::Profile;
use filecash_engine::sector::piece::{PieceInfo as OurPiece, UnpaddedLen};
use filecash_engine::update::decode::Decoder;
use filecash_engine::update::{PartitionProof, Replica, UpdateCommitments, UpdateConfig};
use filecoin_proofs::types::{MerkleTreeTrait, PieceInfo, SectorUpdateConfig, UnpaddedBytesAmount};
use filecoin_proofs::{TreeRHasher, with_shape};

use crate::case::Case;
use crate::params::cache;
use crate::reference;

/// A folder with a sealed sector, `staged` data for its update, and the data's pieces.
#[derive(Clone, Debug)]
pub struct Sector {
    /// The folder.
    pub folder: PathBuf,
    /// Padded size.
    pub size_bytes: u64,
    /// Unpadded length and commitment of each piece.
    pub pieces: Vec<(u64, [u8; 32])>,
}

impl Sector {
    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn cache(&self, name: &str) -> PathBuf {
        match name {
            "sealed" => self.path("cache"),
            name => self.path(&format!("{name}-cache")),
        }
    }
}

/// comm_r_new, comm_r_last_new, comm_d_new.
pub type Encoded = [[u8; 32]; 3];

/// Either side's operations. `new`, `key` and `out` name files of the sector's folder.
pub trait Updates {
    /// Encodes `staged` into `sealed`.
    ///
    /// # Errors
    /// When the operation fails, as for the others.
    fn encode(&self, sector: &Sector, new: &str) -> Result<Encoded>;
    /// Decodes `new` into `out`: padded data.
    ///
    /// # Errors
    /// When the operation fails.
    fn decode(&self, sector: &Sector, new: &str, comm_d_new: &[u8; 32], out: &str) -> Result<()>;
    /// Padded data of a range of nodes: first and number.
    ///
    /// # Errors
    /// When the operation fails.
    fn decode_range(&self, sector: &Sector, new: &str, comms: &UpdateCommitments, range: [u64; 2]) -> Result<Vec<u8>>;
    /// Takes `staged` out of `new`: the old replica becomes `key` and `key-cache/`. `old` is the old sector's cache.
    ///
    /// # Errors
    /// When the operation fails.
    fn remove(&self, sector: &Sector, new: &str, comms: &UpdateCommitments, key: &str) -> Result<()>;
    /// Opens the challenges of `new`: the proofs of all partitions.
    ///
    /// # Errors
    /// When the operation fails.
    fn vanilla(&self, sector: &Sector, new: &str, comms: &UpdateCommitments) -> Result<Vec<Vec<u8>>>;
    /// Whether partition proofs hold. What cannot even be decoded does not hold.
    fn vanilla_holds(&self, sector: &Sector, comms: &UpdateCommitments, proofs: &[Vec<u8>]) -> bool;
}

/// Our engine, with its parameters in a folder.
#[derive(Clone, Debug)]
pub struct OurUpdates {
    config: Config,
}

impl OurUpdates {
    /// The engine with a folder of parameters.
    pub fn new(params: &Path) -> Self {
        Self { config: Config { parameter_cache: params.to_owned(), ..Config::default() } }
    }

    /// Runs an operation of ours.
    ///
    /// # Errors
    /// What it reports.
    pub fn job<T, E: Into<anyhow::Error>>(&self, work: impl FnOnce(&Job<'_>) -> Result<T, E>) -> Result<T> {
        let cancel = Cancel::default();
        work(&Job { config: &self.config, progress: &Quiet, cancel: &cancel }).map_err(Into::into)
    }

    /// Proves partition proofs of 2 KiB.
    ///
    /// # Errors
    /// When it fails.
    pub fn prove(&self, comms: &UpdateCommitments, proofs: &[Vec<u8>]) -> Result<Vec<u8>> {
        let config = config(2 << 10)?;
        let proofs = read(&config, proofs)?;
        self.job(|job| update::prove(job, &config, comms, &proofs))
    }

    /// Whether a proof of 2 KiB holds.
    pub fn holds(&self, comms: &UpdateCommitments, proof: &[u8]) -> bool {
        let config = config(2 << 10).expect("sectors of 2 KiB can be updated");
        match self.job(|job| update::verify(job, &config, comms, proof)) {
            Ok(()) => true,
            Err(error) => {
                let rejected = error.downcast_ref::<Error>().is_some_and(Error::is_rejection);
                assert!(rejected, "a check that could not be made: {error:#}");
                false
            }
        }
    }
}

fn config(size_bytes: u64) -> Result<UpdateConfig> {
    Ok(UpdateConfig::for_size(Profile::Filecoin, size_bytes)?)
}

fn read(config: &UpdateConfig, proofs: &[Vec<u8>]) -> Result<Vec<PartitionProof>> {
    let numbered = proofs.iter().enumerate();
    numbered.map(|(partition, bytes)| Ok(PartitionProof::from_bytes(&config.shape, partition, bytes)?)).collect()
}

/// The folder of our parameters, with those of the 2 KiB update; makes them if they are not there.
///
/// # Errors
/// When they cannot be made.
pub fn params_2kib() -> Result<PathBuf> {
    let folder = cache()?.join("params");
    fs::create_dir_all(&folder)?;
    let id = ParamId::new(Profile::Filecoin, CircuitKind::Update, 2 << 10)?;
    let store = ParamStore::new(&folder);
    if ![FileKind::Params, FileKind::VerifyingKey].iter().all(|kind| store.path(&id, *kind).is_file()) {
        OurUpdates::new(&folder).job(|job| params::setup(job, &id))?;
    }
    Ok(folder)
}

impl Updates for OurUpdates {
    fn encode(&self, sector: &Sector, new: &str) -> Result<Encoded> {
        let config = config(sector.size_bytes)?;
        let piece = |&(size, commitment): &(u64, _)| Ok(OurPiece { size: UnpaddedLen::new(size)?, commitment });
        let pieces = sector.pieces.iter().map(piece).collect::<Result<Vec<_>>>()?;
        let (old, old_cache, replica, cache) =
            (sector.path("sealed"), sector.cache("sealed"), sector.path(new), sector.cache(new));
        let [old, new] = [Replica { path: &old, cache: &old_cache }, Replica { path: &replica, cache: &cache }];
        let staged = sector.path("staged");
        let encoded = self.job(|job| update::encode_into(job, &config, new, old, &staged, &pieces))?;
        Ok([encoded.commitments.comm_r_new, encoded.comm_r_last_new, encoded.commitments.comm_d_new])
    }

    fn decode(&self, sector: &Sector, new: &str, comm_d_new: &[u8; 32], out: &str) -> Result<()> {
        let config = config(sector.size_bytes)?;
        let (old, old_cache) = (sector.path("sealed"), sector.cache("sealed"));
        let old = Replica { path: &old, cache: &old_cache };
        let (replica, out) = (sector.path(new), sector.path(out));
        self.job(|job| update::decode_from(job, &config, &out, &replica, old, comm_d_new))
    }

    fn decode_range(&self, sector: &Sector, new: &str, comms: &UpdateCommitments, range: [u64; 2]) -> Result<Vec<u8>> {
        let config = config(sector.size_bytes)?;
        let (replica, old) = (sector.path(new), sector.path("sealed"));
        let UpdateCommitments { comm_d_new, comm_r_old, .. } = comms;
        let decoder = Decoder { config: &config, new: &replica, old: &old, comm_d_new, comm_r_old };
        let mut bytes = Vec::new();
        let [first, count] = range;
        self.job(|job| decoder.decode_range(&Cpu, job, first..first + count, &mut bytes))?;
        Ok(bytes)
    }

    fn remove(&self, sector: &Sector, new: &str, comms: &UpdateCommitments, key: &str) -> Result<()> {
        let config = config(sector.size_bytes)?;
        let (key_path, key_cache, replica, cache) =
            (sector.path(key), sector.cache(key), sector.path(new), sector.cache(new));
        let [key, new] = [Replica { path: &key_path, cache: &key_cache }, Replica { path: &replica, cache: &cache }];
        self.job(|job| update::remove_encoded_data(job, &config, key, new, &sector.path("staged"), comms))
    }

    fn vanilla(&self, sector: &Sector, new: &str, comms: &UpdateCommitments) -> Result<Vec<Vec<u8>>> {
        let config = config(sector.size_bytes)?;
        let (old, old_cache, replica, cache) =
            (sector.path("sealed"), sector.cache("sealed"), sector.path(new), sector.cache(new));
        let [old, new] = [Replica { path: &old, cache: &old_cache }, Replica { path: &replica, cache: &cache }];
        let proofs = self.job(|job| update::generate_partition_proofs(job, &config, comms, old, new))?;
        proofs.iter().map(|proof| Ok(proof.to_bytes()?)).collect()
    }

    fn vanilla_holds(&self, sector: &Sector, comms: &UpdateCommitments, proofs: &[Vec<u8>]) -> bool {
        let config = config(sector.size_bytes).expect("the sector was updated");
        let Ok(proofs) = read(&config, proofs) else { return false };
        match self.job(|job| update::verify_partition_proofs(job, &config, comms, &proofs)) {
            Ok(()) => true,
            Err(error) => {
                let rejected = error.downcast_ref::<Error>().is_some_and(Error::is_rejection);
                assert!(rejected, "a check that could not be made: {error:#}");
                false
            }
        }
    }
}

/// The reference's library in process.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceUpdates;

fn sector_update_config(sector: &Sector) -> Result<SectorUpdateConfig> {
    // Nothing of the seal but the sector's size enters.
    let case =
        Case { size_bytes: sector.size_bytes, ..crate::case::small("update", 5, crate::case::Rules::V1_1_0, &[]) };
    Ok(SectorUpdateConfig::from_porep_config(&reference::config(&case)?))
}

fn encode<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(sector: &Sector, new: &str) -> Result<Encoded> {
    let (replica, cache) = (sector.path(new), sector.cache(new));
    fs::create_dir(&cache)?;
    File::create(&replica)?.set_len(sector.size_bytes)?;
    let pieces: Vec<_> = sector
        .pieces
        .iter()
        .map(|(size, commitment)| PieceInfo { commitment: *commitment, size: UnpaddedBytesAmount(*size) })
        .collect();
    let encoded = filecoin_proofs::encode_into::<Tree>(
        &sector_update_config(sector)?,
        &replica,
        &cache,
        &sector.path("sealed"),
        &sector.cache("sealed"),
        &sector.path("staged"),
        &pieces,
    )?;
    Ok([encoded.comm_r_new, encoded.comm_r_last_new, encoded.comm_d_new])
}

fn decode<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(
    sector: &Sector,
    new: &str,
    comm_d_new: &[u8; 32],
    out: &str,
) -> Result<()> {
    let out = sector.path(out);
    File::create(&out)?.set_len(sector.size_bytes)?;
    filecoin_proofs::decode_from::<Tree>(
        sector_update_config(sector)?,
        &out,
        &sector.path(new),
        &sector.path("sealed"),
        &sector.cache("sealed"),
        *comm_d_new,
    )
}

fn remove<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(
    sector: &Sector,
    new: &str,
    comms: &UpdateCommitments,
    key: &str,
) -> Result<()> {
    let (key_path, key_cache) = (sector.path(key), sector.cache(key));
    fs::create_dir(&key_cache)?;
    File::create(&key_path)?.set_len(sector.size_bytes)?;
    // The reference takes comm_r_old from the `p_aux` of the folder that it calls the replica's: the old sector's it is.
    filecoin_proofs::remove_encoded_data::<Tree>(
        sector_update_config(sector)?,
        &key_path,
        &key_cache,
        &sector.path(new),
        &sector.cache("sealed"),
        &sector.path("staged"),
        comms.comm_d_new,
    )
}

fn vanilla<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(
    sector: &Sector,
    new: &str,
    comms: &UpdateCommitments,
) -> Result<Vec<Vec<u8>>> {
    let proofs = filecoin_proofs::generate_partition_proofs::<Tree>(
        sector_update_config(sector)?,
        comms.comm_r_old,
        comms.comm_r_new,
        comms.comm_d_new,
        &sector.path("sealed"),
        &sector.cache("sealed"),
        &sector.path(new),
        &sector.cache(new),
    )?;
    proofs.iter().map(|proof| Ok(bincode::serialize(proof)?)).collect()
}

fn vanilla_holds<Tree: 'static + MerkleTreeTrait<Hasher = TreeRHasher>>(
    sector: &Sector,
    comms: &UpdateCommitments,
    proofs: &[Vec<u8>],
) -> Result<bool> {
    let proofs = proofs.iter().map(|bytes| Ok(bincode::deserialize(bytes)?)).collect::<Result<Vec<_>>>()?;
    let config = sector_update_config(sector)?;
    ensure!(proofs.len() == usize::from(config.update_partitions), "another number of proofs");
    let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = *comms;
    filecoin_proofs::verify_partition_proofs::<Tree>(config, &proofs, comm_r_old, comm_r_new, comm_d_new)
}

impl Updates for ReferenceUpdates {
    fn encode(&self, sector: &Sector, new: &str) -> Result<Encoded> {
        with_shape!(sector.size_bytes, encode, sector, new,)
    }

    fn decode(&self, sector: &Sector, new: &str, comm_d_new: &[u8; 32], out: &str) -> Result<()> {
        with_shape!(sector.size_bytes, decode, sector, new, comm_d_new, out,)
    }

    fn decode_range(
        &self,
        sector: &Sector,
        new: &str,
        comms: &UpdateCommitments,
        [first, count]: [u64; 2],
    ) -> Result<Vec<u8>> {
        let part = |name| -> Result<_> {
            let bytes = fs::read(sector.path(name))?;
            Ok(Cursor::new(bytes[32 * first as usize..][..32 * count as usize].to_vec()))
        };
        let mut out = Vec::new();
        filecoin_proofs::decode_from_range(
            (sector.size_bytes / 32) as usize,
            comms.comm_d_new,
            comms.comm_r_old,
            part(new)?,
            part("sealed")?,
            &mut out,
            first as usize,
            count as usize,
        )?;
        Ok(out)
    }

    fn remove(&self, sector: &Sector, new: &str, comms: &UpdateCommitments, key: &str) -> Result<()> {
        with_shape!(sector.size_bytes, remove, sector, new, comms, key,)
    }

    fn vanilla(&self, sector: &Sector, new: &str, comms: &UpdateCommitments) -> Result<Vec<Vec<u8>>> {
        with_shape!(sector.size_bytes, vanilla, sector, new, comms,)
    }

    fn vanilla_holds(&self, sector: &Sector, comms: &UpdateCommitments, proofs: &[Vec<u8>]) -> bool {
        let holds: Result<bool> = with_shape!(sector.size_bytes, vanilla_holds, sector, comms, proofs,);
        holds.unwrap_or(false)
    }
}
