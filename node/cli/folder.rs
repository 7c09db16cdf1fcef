//! Reading and writing what a sector's folder says of it.

use std::fs;
use std::path::PathBuf;

pub use filecash_node::folder::{Folder, Identity};

use crate::context::Context;
use crate::files;
use crate::report::{Failure, Kind};

/// The description of the sector in a folder.
pub trait Described {
    /// Reads `sector.json`; `None` when there is none.
    fn read_identity(&self) -> anyhow::Result<Option<Identity>>;

    /// Reads `sector.json`, which has to be there and of the network that a flag asks for, if one does.
    fn require_identity(&self, context: &Context) -> anyhow::Result<Identity>;

    /// Writes `sector.json`.
    fn write_identity(&self, identity: &Identity, force: bool) -> anyhow::Result<()>;
}

impl Described for Folder {
    fn read_identity(&self) -> anyhow::Result<Option<Identity>> {
        let path = self.identity();
        if !path.exists() {
            return Ok(None);
        }
        let identity: Identity = files::read_json(&path, "sector description")?;
        identity.proof().map_err(|error| Failure::new(Kind::Input, format!("{}: {error}", path.display())))?;
        Ok(Some(identity))
    }

    fn require_identity(&self, context: &Context) -> anyhow::Result<Identity> {
        let path = self.path().display();
        let identity =
            self.read_identity()?.ok_or_else(|| Failure::new(Kind::Input, format!("{path} has no sector.json")))?;
        if context.asked_profile().is_some_and(|asked| asked != identity.profile) {
            let message = format!("{path} holds a sector of profile {}, not of --profile's", identity.profile);
            return Err(Failure::new(Kind::Usage, message).into());
        }
        Ok(identity)
    }

    fn write_identity(&self, identity: &Identity, force: bool) -> anyhow::Result<()> {
        files::write(&self.identity(), &files::json(identity)?, force)
    }
}

/// The first free `filecash-sector-N` in the current folder, with N.
pub fn free() -> (Folder, u64) {
    let name = |number| PathBuf::from(format!("filecash-sector-{number}"));
    let number = (1..).find(|number| fs::symlink_metadata(name(*number)).is_err()).unwrap_or(1);
    (Folder::new(name(number)), number)
}
