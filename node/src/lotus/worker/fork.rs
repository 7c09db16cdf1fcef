//! What Filecash's miners ask of a worker besides, and what their operators set.
//!
//! A miner counts the tasks that it has given (`AddStore`, `DeleteStore`) and asks whether one more may start (`AllowableRange`). Here
//! the count is of sectors that were announced or whose proof is not delivered, so that what a miner forgot to take back
//! does not stay for ever: a miner that starts anew forgets all that was announced.
//!
//! Source: `spec/attach.md` C.3.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::resources::Task;
use crate::lotus::rpc::Fault;
use crate::lotus::types::SectorId;

/// A group that takes the sectors of all.
pub const ANY_GROUP: &str = "all";

/// The names of the tasks of this network on the wire and for people.
const TASKS: [(&str, &str); 9] = [
    ("seal/v0/addpiece", "AddPiece"),
    ("seal/v0/precommit/1", "PreCommit1"),
    ("seal/v0/precommit/2", "PreCommit2"),
    ("seal/v0/commit/1", "Commit1"),
    ("seal/v0/commit/2", "Commit2"),
    ("seal/v0/fetch", "Fetch"),
    ("seal/v0/finalize", "Finalize"),
    ("seal/v0/unseal", "Unseal"),
    ("seal/v0/unsealread", "Unsealed"),
];

/// Settings that are numbers: how many sectors at a time, and before how many a miner pledges no more.
const NUMBERS: [&str; 8] = [
    "app1max",
    "precommit1max",
    "precommit2max",
    "commitmax",
    "autotaskapp1",
    "autotaskp2",
    "autotaskc1",
    "autotaskc2",
];

/// Keys of `AddAutoTaskLimit`, and the settings that they are.
const LIMITS: [(&str, &str); 4] =
    [("app1", "autotaskapp1"), ("p2", "autotaskp2"), ("c1", "autotaskc1"), ("c2", "autotaskc2")];

/// What a miner and its operator told us.
#[derive(Debug)]
pub struct Fork {
    group: String,
    remote_url: String,
    numbers: BTreeMap<&'static str, u64>,
    announced: BTreeSet<(SectorId, &'static str)>,
}

impl Fork {
    /// A worker of a group.
    pub fn new(group: &str) -> Self {
        let numbers = NUMBERS.map(|name| (name, 0)).into();
        Self { group: group.to_owned(), remote_url: String::new(), numbers, announced: BTreeSet::new() }
    }

    /// Forgets what was announced: the miner has, too.
    pub fn forget(&mut self) {
        self.announced.clear();
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    fn number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    /// Sectors of a task: those announced, for C2 also those in the queue.
    fn now(&self, task: &str, queued: &BTreeSet<SectorId>) -> u64 {
        let announced = self.announced.iter().filter(|(_, of)| *of == task).map(|(sector, _)| *sector);
        let mut all: BTreeSet<SectorId> = announced.collect();
        if task == Task::Commit2.name() {
            all.extend(queued);
        }
        all.len() as u64
    }

    /// Whether one more of a task may start.
    pub fn allows(&self, task: &str, queued: &BTreeSet<SectorId>) -> bool {
        let most = self.number("commitmax");
        task == Task::Commit2.name() && (most == 0 || self.now(task, queued) < most)
    }

    /// A miner gives us a task.
    pub fn announce(&mut self, sector: SectorId, task: &str) -> Result<(), Fault> {
        self.announced.insert((sector, known(task)?));
        Ok(())
    }

    /// It takes it back, or has its result.
    pub fn take_back(&mut self, sector: SectorId, task: &str) -> Result<(), Fault> {
        self.announced.remove(&(sector, known(task)?));
        Ok(())
    }

    /// Sets one of the settings.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        match key {
            "group" => value.clone_into(&mut self.group),
            "remotec2url" => value.clone_into(&mut self.remote_url),
            _ => {
                let Some((_, number)) = self.numbers.iter_mut().find(|(name, _)| **name == key) else {
                    return Err(Fault::Refused(format!("there is no setting {key:?}")));
                };
                *number =
                    value.parse().map_err(|_| Fault::Refused(format!("{key} is to be a number, not {value:?}")))?;
            }
        }
        Ok(())
    }

    /// Sets several limits of automatic pledging.
    pub fn limit(&mut self, limits: &Map<String, Value>) -> Result<(), Fault> {
        let mut checked = Vec::new();
        for (key, value) in limits {
            let Some((_, name)) = LIMITS.iter().find(|(known, _)| known == key) else {
                return Err(Fault::Refused(format!("there is no limit {key:?}")));
            };
            let number = value.as_u64().ok_or_else(|| Fault::Params(format!("{key} is to be a number")))?;
            checked.push((*name, number));
        }
        self.numbers.extend(checked);
        Ok(())
    }

    /// Whether a miner may pledge by itself, as far as we go.
    pub fn pledging(&self, queued: &BTreeSet<SectorId>) -> Value {
        let of = [
            ("autotaskapp1", "seal/v0/precommit/1"),
            ("autotaskp2", "seal/v0/precommit/2"),
            ("autotaskc1", "seal/v0/commit/1"),
            ("autotaskc2", "seal/v0/commit/2"),
        ];
        let is_free = |(name, task): &(&str, &str)| {
            let most = self.number(name);
            most == 0 || self.now(task, queued) < most
        };
        json!({ "IsSend": of.iter().all(is_free), "Group": self.group })
    }

    /// What an operator's list of workers shows.
    pub fn info(&self, queued: &BTreeSet<SectorId>) -> Value {
        let now = |task: &str| self.now(task, queued);
        let most = |name: &str| self.number(name);
        let commit2 = Task::Commit2.name();
        let queued = queued.iter().map(|sector| (*sector, commit2));
        let store = self.announced.iter().copied().chain(queued);
        let store: BTreeMap<String, &str> = store.map(|(sector, task)| (sector.to_string(), shown(task))).collect();
        json!({
            "APP1Share": false,
            "ApAndP1Max": most("app1max"), "ApAndP1Now": now("seal/v0/addpiece") + now("seal/v0/precommit/1"),
            "AddPieceMax": 0, "AddPieceNow": now("seal/v0/addpiece"),
            "PreCommit1Max": most("precommit1max"), "PreCommit1Now": now("seal/v0/precommit/1"),
            "PreCommit2Max": most("precommit2max"), "PreCommit2Now": now("seal/v0/precommit/2"),
            "Commit1Max": most("commitmax"), "Commit1Now": now("seal/v0/commit/1"),
            "Commit2Max": most("commitmax"), "Commit2Now": now(commit2),
            "Group": self.group,
            "C2HostName": self.remote_url,
            "StoreList": store,
            "AcceptTasks": [shown(commit2)],
        })
    }
}

fn known(task: &str) -> Result<&'static str, Fault> {
    let found = TASKS.iter().find(|(name, _)| *name == task);
    found.map(|(name, _)| *name).ok_or_else(|| Fault::Refused(format!("there is no task {task:?}")))
}

fn shown(task: &str) -> &'static str {
    TASKS.iter().find(|(name, _)| *name == task).map_or("", |(_, shown)| shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const C2: &str = "seal/v0/commit/2";

    fn sector(number: u64) -> SectorId {
        SectorId { miner: 1000, number }
    }

    #[test]
    fn tasks_are_counted_by_sector() {
        let mut fork = Fork::new(ANY_GROUP);
        let queued = BTreeSet::from([sector(1)]);
        assert!(fork.allows(C2, &queued) && !fork.allows("seal/v0/precommit/2", &queued));
        fork.set("commitmax", "2").unwrap();
        assert!(fork.allows(C2, &queued));
        // The one that is announced and in the queue counts once.
        fork.announce(sector(1), C2).unwrap();
        assert!(fork.allows(C2, &queued));
        fork.announce(sector(2), C2).unwrap();
        assert!(!fork.allows(C2, &queued));
        assert_eq!(fork.info(&queued)["Commit2Now"], 2);
        assert_eq!(fork.info(&queued)["StoreList"], json!({ "{1000,1}": "Commit2", "{1000,2}": "Commit2" }));
        fork.take_back(sector(2), C2).unwrap();
        fork.take_back(sector(9), C2).unwrap();
        assert!(fork.allows(C2, &queued));
        fork.announce(sector(3), C2).unwrap();
        fork.forget();
        assert!(fork.allows(C2, &queued));
        assert!(fork.announce(sector(1), "seal/v0/dance").is_err());
    }

    #[test]
    fn settings_are_set_by_their_keys() {
        let mut fork = Fork::new("one");
        let none = BTreeSet::new();
        for key in NUMBERS {
            fork.set(key, "3").unwrap();
        }
        fork.set("group", "two").unwrap();
        fork.set("remotec2url", "10.0.0.1:6000").unwrap();
        let info = fork.info(&none);
        assert_eq!((&info["Group"], &info["C2HostName"]), (&"two".into(), &"10.0.0.1:6000".into()));
        assert_eq!((&info["Commit1Max"], &info["Commit2Max"]), (&3.into(), &3.into()));
        for (key, value) in [("colour", "1"), ("commitmax", "x"), ("commitmax", "-1")] {
            assert!(matches!(fork.set(key, value), Err(Fault::Refused(_))), "{key}");
        }
        assert_eq!(fork.pledging(&none), json!({ "IsSend": true, "Group": "two" }));
        fork.limit(json!({ "c2": 1 }).as_object().unwrap()).unwrap();
        fork.announce(sector(1), C2).unwrap();
        assert_eq!(fork.pledging(&none)["IsSend"], false);
        // All or none.
        assert!(fork.limit(json!({ "c2": 0, "c3": 1 }).as_object().unwrap()).is_err());
        assert_eq!(fork.pledging(&none)["IsSend"], false);
    }
}
