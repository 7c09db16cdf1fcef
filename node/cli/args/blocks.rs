//! `filecash add`, `get`, `cat`, `dag`, `car`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use filecash_ipld::Cid;
use filecash_ipld::unixfs::profile::{self, Profile};

/// A CID, and where below it: `CID/folder/file`, with `/ipfs/` before it or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where to begin.
    pub root: Cid,
    /// Names of folders and of what is in them.
    pub path: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix("ipfs://").or_else(|| text.strip_prefix("/ipfs/")).unwrap_or(text);
        let (root, path) = bare.split_once('/').unwrap_or((bare, ""));
        let root = root.parse().map_err(|error| format!("{root:?} is not a CID: {error}"))?;
        Ok(Self { root, path: path.trim_matches('/').to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.path.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{}", self.root, self.path)
    }
}

fn profile_named(name: &str) -> Result<Profile, String> {
    let names = profile::ALL.map(|profile| profile.name).join(", ");
    profile::by_name(name).ok_or_else(|| format!("there are {names}"))
}

/// `filecash add`.
#[derive(Debug, Args)]
pub struct Add {
    /// A file or a folder; `-` is standard input
    #[arg(value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,
    /// Whose CID it gets, for others cut files in other ways: kubo, kubo-v1, lotus, helia
    #[arg(long = "as", value_name = "PROGRAM", value_parser = profile_named, default_value = "kubo-v1")]
    pub layout: Profile,
    /// Take files and folders too whose names begin with a dot
    #[arg(long)]
    pub hidden: bool,
    /// Only tell the CID, and keep nothing
    #[arg(long)]
    pub only_cid: bool,
}

/// `filecash get`.
#[derive(Debug, Args)]
pub struct Get {
    /// CID, or CID/path/in/folders
    #[arg(value_name = "CID[/PATH]")]
    pub place: Place,
    /// Where to; the last name of the path, or the CID, unless told
    #[arg(long, short, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
    /// Write symbolic links too, wherever they lead
    #[arg(long)]
    pub symlinks: bool,
}

/// By which protocol blocks come.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum By {
    /// One source sends all of it in order
    Graphsync,
    /// All sources are asked for block after block
    Bitswap,
}

/// `filecash fetch`.
#[derive(Debug, Args)]
pub struct Fetch {
    /// What: everything at and below it
    pub cid: Cid,
    /// Who has it: an address that ends in /p2p/ and the id of a peer; several may be given
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub from: Vec<String>,
    /// By which protocol
    #[arg(long, value_enum, default_value = "graphsync")]
    pub by: By,
    /// How many steps below the CID graphsync goes; "all" is refused by most nodes
    #[arg(long, value_name = "N", default_value = "100", value_parser = depth)]
    pub depth: Depth,
}

/// How deep graphsync goes.
#[derive(Clone, Copy, Debug)]
pub struct Depth(pub Option<u64>);

fn depth(text: &str) -> Result<Depth, String> {
    match text {
        "all" => Ok(Depth(None)),
        number => number.parse().map(|depth| Depth(Some(depth))).map_err(|_| "a number, or \"all\"".to_owned()),
    }
}

/// `filecash cat`.
#[derive(Debug, Args)]
pub struct Cat {
    /// CID, or CID/path/in/folders
    #[arg(value_name = "CID[/PATH]")]
    pub place: Place,
    /// The first byte
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u64,
    /// How many bytes; to the end unless told
    #[arg(long, value_name = "N")]
    pub length: Option<u64>,
}

/// `filecash dag`.
#[derive(Debug, Subcommand)]
pub enum Dag {
    /// What is in a block, as dag-json
    Show {
        /// CID, or CID/path/in/folders
        #[arg(value_name = "CID[/PATH]")]
        place: Place,
    },
    /// The names in a folder
    List {
        /// CID, or CID/path/in/folders
        #[arg(value_name = "CID[/PATH]")]
        place: Place,
    },
    /// How much is at and below a CID, and what of it is missing
    Stat {
        /// The CID
        cid: Cid,
    },
}

/// `filecash car`.
#[derive(Debug, Subcommand)]
pub enum Car {
    /// Check every block of a CAR file and tell what is in it
    Show {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Zeros may follow the last block, as in a piece
        #[arg(long)]
        padded: bool,
    },
    /// Keep the blocks of a CAR file
    Import {
        /// The file; `-` is standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Zeros may follow the last block, as in a piece
        #[arg(long)]
        padded: bool,
    },
    /// Write all that is at and below a CID into a CAR file, in the order in which pieces have it
    Export {
        /// The CID
        cid: Cid,
        /// The file
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: PathBuf,
        /// Write version 2, with an index; a piece is made of version 1
        #[arg(long)]
        indexed: bool,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
}
