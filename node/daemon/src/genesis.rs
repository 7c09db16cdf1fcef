//! Where the chain begins: the chain of a folder, or one that a CAR file has, whose root is the genesis or a tipset of its chain.
//!
//! | In the folder | Of the file | |
//! |---|---|---|
//! | nothing | nothing | is refused |
//! | nothing | a chain, or a genesis alone | is imported with all checks |
//! | a chain | nothing, or a tipset of that chain | the file is not read any further |
//! | a chain | a longer or a heavier one of the same genesis | is imported with all checks |
//! | a chain | one of another genesis | is refused, with both named |

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use filecash_chain::chain::ChainError;
use filecash_chain::check::Rules;
use filecash_chain::folder::{ChainFolder, FolderError, ImportError, import};
use filecash_chain::state::actors::InitState;
use filecash_chain::state::{INIT, StateError, StateTree};
use filecash_ipld::Cid;
use filecash_ipld::car::{CarError, CarOptions, CarReader};
use filecash_ipld::store::BlockStore;

/// Why there is no beginning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum GenesisError {
    #[error("there is no chain at {}, and it is not said where the chain begins", path.display())]
    Nothing { path: PathBuf },
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: CarError },
    #[error("cannot import {}", path.display())]
    Import { path: PathBuf, source: Box<ImportError> },
    #[error("the chain in {}", path.display())]
    Folder { path: PathBuf, source: Box<FolderError> },
    #[error("the genesis")]
    Genesis(#[source] Box<ChainError>),
    #[error("the genesis does not say what its network is called, and [network] name does not either")]
    Name(#[source] StateError),
}

/// Opens the chain of a folder, after a file's was taken into it where it is not there. `is_over` is asked on the way whether to stop.
///
/// # Errors
/// [`GenesisError`].
pub fn open(
    folder: &Path,
    file: Option<&Path>,
    rules: &Rules,
    is_over: &dyn Fn() -> bool,
) -> Result<ChainFolder, GenesisError> {
    let failed = |source| GenesisError::Folder { path: folder.to_owned(), source: Box::new(source) };
    let existing = match ChainFolder::open(folder, rules.clone()) {
        Ok(existing) => Some(existing),
        Err(FolderError::NoChain { .. }) => None,
        Err(error) => return Err(failed(error)),
    };
    let file = match (existing, file) {
        (Some(existing), None) => return Ok(existing),
        (None, None) => return Err(GenesisError::Nothing { path: folder.to_owned() }),
        (Some(existing), Some(file)) => {
            if is_on_chain(&existing, &root(file)?).map_err(failed)? {
                return Ok(existing);
            }
            file
        }
        (None, Some(file)) => {
            // What is no CAR is told as such.
            root(file)?;
            file
        }
    };
    let mut watch = |_| if is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let imported = import(folder, file, rules, None, &mut watch);
    let (chain, taken) =
        imported.map_err(|source| GenesisError::Import { path: file.to_owned(), source: Box::new(source) })?;
    tracing::info!(blocks = taken.blocks, tipsets = taken.tipsets, moved = taken.moved, "a chain was imported");
    Ok(chain)
}

/// The root of a file, of which no more is read.
fn root(file: &Path) -> Result<Vec<Cid>, GenesisError> {
    let opened = File::open(file).map_err(|source| GenesisError::Open { path: file.to_owned(), source })?;
    let blocks = CarReader::new(BufReader::new(opened), &CarOptions::default());
    let blocks = blocks.map_err(|source| GenesisError::Read { path: file.to_owned(), source })?;
    Ok(blocks.roots().to_vec())
}

fn is_on_chain(chain: &ChainFolder, key: &[Cid]) -> Result<bool, FolderError> {
    match chain.chain().tipset(key) {
        Ok(tipset) => chain.is_on_chain(key, tipset.height()),
        // The import says what is wrong with it.
        Err(ChainError::Read(_) | ChainError::Tipset { .. } | ChainError::Key(_) | ChainError::Name(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What the state of a chain's genesis calls the network.
///
/// # Errors
/// [`GenesisError`].
pub fn network_name(chain: &ChainFolder) -> Result<String, GenesisError> {
    fn name(store: &dyn BlockStore, root: &Cid) -> Result<String, StateError> {
        Ok(StateTree::open(store, root)?.state::<InitState>(&INIT, "init")?.network_name)
    }
    let genesis = chain.chain().tipset(&[chain.genesis()]).map_err(|error| GenesisError::Genesis(Box::new(error)))?;
    name(&**chain.chain().store(), &genesis.first().parent_state_root).map_err(GenesisError::Name)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const FILECASH: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
    const FILECOIN: &str = "bafy2bzacecnamqgqmifpluoeldx7zzglxcljo6oja4vrmtj7432rphldpdmm2";

    fn vector(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/chain").join(name)
    }

    fn opened(folder: &Path, file: Option<&str>) -> Result<ChainFolder, GenesisError> {
        open(folder, file.map(vector).as_deref(), &Rules::MAINNET, &|| false)
    }

    #[test]
    fn chain_is_begun_from_a_file_and_opened_without() {
        let sandbox = tempfile::tempdir().unwrap();
        for (file, genesis, height, name) in [
            ("filecash-genesis.car", FILECASH, 0, "localnet-adfce032-8656-48c1-8669-db3d1d1807ef"),
            ("filecoin-heights-0-39.car", FILECOIN, 39, "testnetnet"),
        ] {
            let folder = sandbox.path().join(file);
            let nothing = opened(&folder, None);
            assert!(matches!(nothing, Err(GenesisError::Nothing { .. })), "{nothing:?}");
            for file in [Some(file), None, Some(file)] {
                let chain = opened(&folder, file).unwrap();
                assert_eq!((chain.genesis().to_string().as_str(), chain.head().tipset.height()), (genesis, height));
                assert_eq!(network_name(&chain).unwrap(), name);
            }
        }
        let other = opened(&sandbox.path().join("filecash-genesis.car"), Some("filecoin-heights-0-39.car"));
        let Err(GenesisError::Import { source, .. }) = other else { panic!("{other:?}") };
        let text = source.to_string();
        assert!(text.contains(FILECASH) && text.contains(FILECOIN), "{text}");
        // It is as it was.
        let chain = opened(&sandbox.path().join("filecash-genesis.car"), None).unwrap();
        assert_eq!(chain.genesis().to_string(), FILECASH);
    }

    #[test]
    fn stopped_import_goes_on() {
        let sandbox = tempfile::tempdir().unwrap();
        let file = vector("filecoin-heights-0-39.car");
        let asked = Cell::new(0);
        let count = || asked.replace(asked.get() + 1);
        open(&sandbox.path().join("whole"), Some(&file), &Rules::MAINNET, &|| count() == usize::MAX).unwrap();
        // At the last step but one its blocks are there.
        let steps = asked.replace(0);
        let stopped = open(sandbox.path(), Some(&file), &Rules::MAINNET, &|| count() == steps - 2);
        assert!(matches!(stopped, Err(GenesisError::Import { .. })), "{stopped:?}");
        let chain = opened(sandbox.path(), Some("filecoin-heights-0-39.car")).unwrap();
        assert_eq!(chain.head().tipset.height(), 39);
    }

    #[test]
    fn what_is_no_beginning_is_told() {
        let sandbox = tempfile::tempdir().unwrap();
        let (folder, path) = (sandbox.path().join("chain"), sandbox.path().join("x.car"));
        let load = |path: &Path| open(&folder, Some(path), &Rules::MAINNET, &|| false);
        let missing = load(&path);
        assert!(matches!(missing, Err(GenesisError::Open { .. })), "{missing:?}");
        std::fs::write(&path, "my notes").unwrap();
        let notes = load(&path);
        assert!(matches!(notes, Err(GenesisError::Read { .. })), "{notes:?}");
        let bytes = std::fs::read(vector("filecash-genesis.car")).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cut = load(&path);
        assert!(matches!(cut, Err(GenesisError::Import { .. })), "{cut:?}");
        let other = load(&vector("../js-car.car"));
        assert!(matches!(other, Err(GenesisError::Import { .. })), "{other:?}");
        assert!(!folder.exists());
    }
}
