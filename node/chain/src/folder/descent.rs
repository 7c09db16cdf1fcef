//! The way from a tipset down to the chain, and up again.
//!
//! Going down, headers are checked on those of their parents and noted; going up, messages are checked and the head follows. Neither
//! holds more than a few tipsets at once, and both go on where they were stopped.

use std::collections::HashSet;

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;

use super::{ChainFolder, FINALITY, FolderError};
use crate::block_messages::BlockMessages;
use crate::chain::ChainError;
use crate::check::block::BlockFault;
use crate::check::tipset::Checks;
use crate::read::ReadError;
use crate::tipset::Tipset;

/// Tipsets that are forgotten at a time.
const BATCH: usize = 256;

/// A way down that somebody is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descent {
    next: Vec<Cid>,
    child: Option<Tipset>,
    top: Option<i64>,
}

impl Descent {
    /// From a tipset.
    pub fn from(key: Vec<Cid>) -> Self {
        Self { next: key, child: None, top: None }
    }

    /// The key of the tipset that is looked at next.
    pub fn next(&self) -> &[Cid] {
        &self.next
    }

    /// The height of the tipset that it began with, once that is known.
    pub fn top(&self) -> Option<i64> {
        self.top
    }

    /// The height of the last tipset that was looked at.
    pub fn below(&self) -> i64 {
        self.child.as_ref().map_or(i64::MAX, Tipset::height)
    }
}

/// How far down it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next tipset is not there.
    Missing,
    /// There is more to go.
    More,
    /// The chain was met at this height.
    Met(i64),
}

/// The messages of a tipset, as far as they are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Of each block.
    All(Vec<BlockMessages>),
    /// Those of these blocks are not there, or not all.
    Lacking(Vec<usize>),
}

impl ChainFolder {
    /// Goes down through headers that are there, so many of them. `now` is the clock, in seconds of Unix.
    ///
    /// # Errors
    /// [`FolderError::Invalid`], [`FolderError::ForkTooLong`], [`FolderError::OtherGenesis`], or what fails here.
    pub fn descend(
        &self,
        descent: &mut Descent,
        checks: &Checks<'_>,
        now: u64,
        most: usize,
    ) -> Result<Step, FolderError> {
        let (mut left, below) = (most, descent.child.as_ref().map(Tipset::height));
        let (step, passed) = self.go_down(descent, checks, now, |key| {
            if left == 0 {
                return Ok(Err(Step::More));
            }
            left -= 1;
            match self.chain.tipset(key) {
                Err(ChainError::Read(ReadError::Missing(_))) => Ok(Err(Step::Missing)),
                tipset => Ok(Ok(tipset?)),
            }
        })?;
        self.note(below, &passed, step)?;
        Ok(step)
    }

    /// Goes down through headers that came from somebody, each the parents of the one before. None is kept unless all are good.
    ///
    /// # Errors
    /// As [`ChainFolder::descend`].
    pub fn descend_through(
        &self,
        descent: &mut Descent,
        checks: &Checks<'_>,
        now: u64,
        tipsets: Vec<Tipset>,
    ) -> Result<Step, FolderError> {
        let (mut came, below) = (tipsets.into_iter(), descent.child.as_ref().map(Tipset::height));
        let (step, passed) = self.go_down(descent, checks, now, |key| {
            Ok(came.next().filter(|tipset| tipset.key() == key).ok_or(Step::More))
        })?;
        self.put_headers(&passed)?;
        self.note(below, &passed, step)?;
        Ok(step)
    }

    /// Where it ended, and what was passed.
    fn go_down(
        &self,
        descent: &mut Descent,
        checks: &Checks<'_>,
        now: u64,
        mut next: impl FnMut(&[Cid]) -> Result<Result<Tipset, Step>, FolderError>,
    ) -> Result<(Step, Vec<Tipset>), FolderError> {
        let (mut passed, mut at) = (Vec::new(), descent.clone());
        let step = loop {
            let tipset = match next(&at.next)? {
                Ok(tipset) => tipset,
                Err(step) => break step,
            };
            match &at.child {
                Some(child) => {
                    checks.headers(child, &tipset, None).map_err(|fault| FolderError::invalid(child, fault))?;
                }
                None => self.check_clock(&tipset, now)?,
            }
            let height = tipset.height();
            at.top.get_or_insert(height);
            if self.is_on_chain(&at.next, height)? {
                break Step::Met(height);
            }
            self.check_depth(&tipset)?;
            at.next = tipset.parents().to_vec();
            at.child = Some(tipset.clone());
            passed.push(tipset);
        };
        *descent = at;
        Ok((step, passed))
    }

    /// Notes what was passed, from below a height: there is nothing else between there and where it ended.
    fn note(&self, below: Option<i64>, passed: &[Tipset], step: Step) -> Result<(), FolderError> {
        let places: Vec<_> = passed.iter().map(|tipset| (tipset.height(), tipset.key())).collect();
        let Some(below) = below.or(places.first().map(|place| place.0)) else { return Ok(()) };
        let lowest = places.last().map_or(below, |place| place.0);
        let above = if let Step::Met(height) = step { height } else { lowest - 1 };
        self.index.note(above, below, &places)
    }

    fn check_clock(&self, tipset: &Tipset, now: u64) -> Result<(), FolderError> {
        let found = tipset.first().timestamp;
        if found > now.saturating_add(self.rules.clock_drift_seconds) {
            return Err(FolderError::invalid(tipset, BlockFault::Future { now, found }));
        }
        Ok(())
    }

    /// Whether a tipset that is not on the chain may still lead there.
    fn check_depth(&self, tipset: &Tipset) -> Result<(), FolderError> {
        let (height, cid) = (tipset.height(), tipset.blocks()[0].0);
        if height <= self.head().tipset.height().saturating_sub(FINALITY) {
            return Err(FolderError::ForkTooLong { height, cid: Box::new(cid) });
        }
        if height <= 0 {
            return Err(FolderError::OtherGenesis { expected: Box::new(self.genesis), found: Box::new(cid) });
        }
        Ok(())
    }

    /// Tipsets that were noted on the way down, above a height and up to another: the lowest first, so many of them.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn noted(&self, above: i64, to: i64, most: usize) -> Result<Vec<Tipset>, FolderError> {
        let places = self.index.noted(above, to, most)?;
        places.iter().map(|(_, key)| Ok(self.chain.tipset(key)?)).collect()
    }

    /// The messages of a tipset that are there.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn held(&self, tipset: &Tipset) -> Result<Held, FolderError> {
        let (mut all, mut lacking) = (Vec::new(), Vec::new());
        for (place, header) in tipset.headers().enumerate() {
            match self.chain.block_messages(header) {
                Ok(messages) => all.push(messages),
                Err(ChainError::Read(ReadError::Missing(_))) => lacking.push(place),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(if lacking.is_empty() { Held::All(all) } else { Held::Lacking(lacking) })
    }

    /// Whether messages of a tipset are good; tells of how many blocks some signatures could not be checked.
    ///
    /// # Errors
    /// [`FolderError::Invalid`].
    pub fn check_messages(
        &self,
        tipset: &Tipset,
        messages: &[BlockMessages],
        checks: &Checks<'_>,
    ) -> Result<u64, FolderError> {
        checks.messages(tipset, messages).map_err(|(place, source)| {
            let (cid, header) = &tipset.blocks()[place];
            FolderError::Invalid { height: header.height, cid: Box::new(*cid), source }
        })
    }

    /// Forgets what was noted on the way down.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn forget_noted(&self) -> Result<(), FolderError> {
        self.index.forget_notes()
    }

    /// Forgets what was noted on the way down, and removes the headers of it that are not on the chain.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn discard_noted(&self) -> Result<(), FolderError> {
        let mut above = 0;
        loop {
            let places = self.index.noted(above, i64::MAX, BATCH)?;
            let Some((highest, _)) = places.last() else { return self.index.forget_notes() };
            above = *highest;
            let mut remove = Vec::new();
            for (height, key) in places {
                let kept = self.index.at_or_below(height)?.filter(|place| place.0 == height);
                let kept: HashSet<Cid> = kept.map_or_else(HashSet::new, |(_, key)| key.into_iter().collect());
                remove.extend(key.into_iter().filter(|cid| !kept.contains(cid)));
            }
            self.chain.store().remove(&remove)?;
        }
    }
}
