//! Where the chain begins: a CAR file, whose root is the genesis or a tipset of its chain.

use std::path::{Path, PathBuf};

use filecash_chain::Tipset;
use filecash_chain::chain::{ChainError, ChainStore, ImportError, import};
use filecash_chain::check::Rules;
use filecash_chain::state::actors::InitState;
use filecash_chain::state::{INIT, StateError, StateTree};
use filecash_ipld::Cid;
use filecash_ipld::car::{CarError, CarOptions, CarReader};
use filecash_ipld::store::BlockStore;
use filecash_rpc::ledger::SharedStore;

/// Why there is no beginning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum GenesisError {
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: CarError },
    #[error("{} has no root, and so no tipset to begin with", path.display())]
    NoRoot { path: PathBuf },
    #[error("cannot take the blocks of {}", path.display())]
    Import { path: PathBuf, source: Box<ImportError<CarError>> },
    #[error("the root of {} begins no chain", path.display())]
    Chain { path: PathBuf, source: Box<ChainError> },
    #[error("the genesis does not say what its network is called, and [network] name does not either")]
    Name(#[source] StateError),
}

/// The beginning of a chain.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// The first tipset, which is one block.
    pub genesis: Tipset,
    /// The root of the file.
    pub head: Tipset,
}

/// Takes the blocks of a file into a store, and walks from its root to the genesis, checking on the way what can be.
///
/// # Errors
/// [`GenesisError`].
pub fn load(path: &Path, store: &SharedStore, rules: &Rules) -> Result<Beginning, GenesisError> {
    let opened = std::fs::File::open(path);
    let file = opened.map_err(|source| GenesisError::Open { path: path.to_owned(), source })?;
    let read = |source| GenesisError::Read { path: path.to_owned(), source };
    let blocks = CarReader::new(std::io::BufReader::new(file), &CarOptions::default()).map_err(read)?;
    let root = blocks.roots().to_vec();
    if root.is_empty() {
        return Err(GenesisError::NoRoot { path: path.to_owned() });
    }
    let imported = import(&**store, blocks);
    imported.map_err(|source| GenesisError::Import { path: path.to_owned(), source: Box::new(source) })?;
    begin(store, &root, rules).map_err(|source| GenesisError::Chain { path: path.to_owned(), source: Box::new(source) })
}

fn begin(store: &SharedStore, root: &[Cid], rules: &Rules) -> Result<Beginning, ChainError> {
    // Which genesis it is is known when the walk is there.
    let chain = ChainStore::new(SharedStore::clone(store), root[0], rules.clone());
    let mut first = chain.tipset(root)?;
    while first.height() > 0 {
        let parents = chain.tipset(first.parents())?;
        if parents.height() >= first.height() {
            break;
        }
        first = parents;
    }
    let chain = ChainStore::new(SharedStore::clone(store), first.key()[0], rules.clone());
    for tipset in chain.walk(root) {
        tipset?;
    }
    Ok(Beginning { genesis: first, head: chain.tipset(root)? })
}

/// What the state of a genesis calls the network.
///
/// # Errors
/// [`GenesisError::Name`].
pub fn network_name(store: &SharedStore, genesis: &Tipset) -> Result<String, GenesisError> {
    fn name(store: &dyn BlockStore, root: &Cid) -> Result<String, StateError> {
        Ok(StateTree::open(store, root)?.state::<InitState>(&INIT, "init")?.network_name)
    }
    name(&**store, &genesis.first().parent_state_root).map_err(GenesisError::Name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use filecash_ipld::store::MemoryStore;

    use super::*;

    fn vector(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain").join(name)
    }

    #[test]
    fn beginnings_are_found() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        for (file, genesis, height, name) in [
            (
                "filecash-genesis.car",
                "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc",
                0,
                "localnet-adfce032-8656-48c1-8669-db3d1d1807ef",
            ),
            (
                "filecoin-heights-0-39.car",
                "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2",
                39,
                "testnetnet",
            ),
        ] {
            let found = load(&vector(file), &store, &Rules::MAINNET).unwrap();
            assert_eq!((found.genesis.key()[0].to_string().as_str(), found.head.height()), (genesis, height));
            assert_eq!(network_name(&store, &found.genesis).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_beginning_is_told() {
        let store: SharedStore = Arc::new(MemoryStore::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.car");
        let missing = load(&path, &store, &Rules::MAINNET);
        assert!(matches!(missing, Err(GenesisError::Open { .. })), "{missing:?}");
        std::fs::write(&path, "my notes").unwrap();
        let notes = load(&path, &store, &Rules::MAINNET);
        assert!(matches!(notes, Err(GenesisError::Read { .. })), "{notes:?}");
        let bytes = std::fs::read(vector("filecash-genesis.car")).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cut = load(&path, &store, &Rules::MAINNET);
        assert!(matches!(cut, Err(GenesisError::Import { .. })), "{cut:?}");
        let other = load(&vector("../js-car.car"), &store, &Rules::MAINNET);
        assert!(matches!(other, Err(GenesisError::Chain { .. })), "{other:?}");
    }
}
