//! Words of the queue, as they stand in the database, on the command line and in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that none of these is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {text:?}, expected one of {known}")]
pub struct Unknown {
    what: &'static str,
    text: String,
    known: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal: $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = Unknown;

            fn from_str(text: &str) -> Result<Self, Unknown> {
                let found = Self::ALL.iter().find(|known| known.name() == text);
                found.copied().ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|known| known.name()).collect();
                    Unknown { what: $what, text: text.to_owned(), known: known.join(", ") }
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// What a job computes.
    Kind, "kind of job":
    /// Layers of labels.
    Pc1 = "pc1",
    /// Trees, replica, commitment.
    Pc2 = "pc2",
    /// A synthetic PoRep's whole set of vanilla proofs.
    Synth = "synth",
    /// Vanilla proofs for a seed.
    C1 = "c1",
    /// The SNARK of a seal.
    C2 = "c2",
    /// Proof and replica go to where they stay, and what proving needed is deleted.
    Finalize = "finalize",
    /// The SNARK of an update.
    Update = "update",
    /// A window proof of space-time.
    Window = "window-post",
    /// A winning proof of space-time.
    Winning = "winning-post",
}

words! {
    /// What a worker has places for.
    Ability, "ability":
    /// PC1.
    Pc1 = "pc1",
    /// PC2 and whatever else works with a sector's files: synthetic proofs, C1, finalize.
    Pc2 = "pc2",
    /// SNARKs of seals and updates.
    C2 = "c2",
    /// Window proofs.
    Window = "window-post",
    /// Winning proofs, beside anything.
    Winning = "winning-post",
}

words! {
    /// Where a job is.
    State, "state":
    /// In the queue.
    Waiting = "waiting",
    /// With a worker.
    Running = "running",
    /// Its output is there.
    Done = "done",
    /// It cannot be done.
    Failed = "failed",
    /// Nobody wants it any more.
    Cancelled = "cancelled",
}

words! {
    /// How urgent a job is; of two of the same urgency the one with the earlier deadline is first, then the older one.
    Priority, "priority":
    /// When nothing else is to be done.
    Low = "low",
    /// Sealing.
    Normal = "normal",
    /// Window proofs.
    High = "high",
    /// Winning proofs: nothing makes them wait.
    Critical = "critical",
}

impl Priority {
    /// 1 for the least.
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    /// Of a number, the nearest one.
    pub fn from_number(number: i64) -> Self {
        match number {
            ..=1 => Self::Low,
            2 => Self::Normal,
            3 => Self::High,
            4.. => Self::Critical,
        }
    }
}

impl Kind {
    /// What a worker needs to be able to do.
    pub fn ability(self) -> Ability {
        match self {
            Self::Pc1 => Ability::Pc1,
            Self::Pc2 | Self::Synth | Self::C1 | Self::Finalize => Ability::Pc2,
            Self::C2 | Self::Update => Ability::C2,
            Self::Window => Ability::Window,
            Self::Winning => Ability::Winning,
        }
    }

    /// How urgent it is unless somebody says otherwise.
    pub fn priority(self) -> Priority {
        match self {
            Self::Winning => Priority::Critical,
            Self::Window => Priority::High,
            _ => Priority::Normal,
        }
    }
}
