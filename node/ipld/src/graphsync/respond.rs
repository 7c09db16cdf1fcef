//! Who answers: the requests of one peer, in turns.
//!
//! Higher priorities go first, equal ones take turns, a message each. A message has about [`RespondLimits::message_bytes`] of blocks. Of a
//! request that waits only its words are held; of one that is being answered the walk, and which blocks were sent.

use std::collections::VecDeque;
use std::mem;

use super::extensions::{DEDUP_BY_KEY, DO_NOT_SEND_CIDS, DO_NOT_SEND_FIRST_BLOCKS};
use super::scope::{BlockKey, Scopes};
use crate::block::{self, Block};
use crate::selector::{STOCK_DEPTH, Selector};
use crate::store::{BlockStore, StoreError};
use crate::traverse::{Limits, Walk, WalkError};
use crate::wire::graphsync::{
    Extensions, LinkAction, Message, Request, RequestId, RequestKind, Response, Status, extension,
};
use crate::{Cid, Ipld};

/// The longest text by which requests share what was sent.
const MAX_KEY: usize = 256;
/// Blocks that waiting requests say their peer has, 4 MB.
const MAX_HELD: usize = 1 << 18;

/// How much a peer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespondLimits {
    /// Requests that are answered at a time, paused ones among them.
    pub active: usize,
    /// Requests that wait. More are told that we are busy.
    pub waiting: usize,
    /// Bytes of blocks in a message, but for the last block.
    pub message_bytes: usize,
    /// Links in a message.
    pub message_links: usize,
    /// What a walk may cost.
    pub walk: Limits,
}

impl Default for RespondLimits {
    /// Source: `spec/network.md` 11.5.
    fn default() -> Self {
        let walk = Limits { values: 1 << 17, ..Limits::DEFAULT };
        Self { active: 6, waiting: 64, message_bytes: 512 << 10, message_links: 1 << 12, walk }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// By what name.
    pub id: RequestId,
    /// The root of the DAG.
    pub root: Cid,
    /// Which part of it.
    pub selector: Selector,
    /// What else is said.
    pub extensions: Extensions,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// It is answered, and told this first.
    Accept(Extensions),
    /// It is answered later, see [`Responder::resume`].
    Pause(Extensions),
    /// It is not answered.
    Refuse(Status, Extensions),
}

/// Who decides what is answered.
pub trait Admit {
    /// Of a new request.
    fn admit(&self, asked: &Asked) -> Admission;
    /// Of what is said later about one.
    fn update(&self, _id: RequestId, _extensions: &Extensions) -> Extensions {
        Extensions::new()
    }
}

/// Answers whatever goes no deeper than this, and to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtMostDepth(pub u64);

impl Default for AtMostDepth {
    /// As stock responders do.
    fn default() -> Self {
        Self(STOCK_DEPTH)
    }
}

impl Admit for AtMostDepth {
    fn admit(&self, asked: &Asked) -> Admission {
        if asked.selector.is_limited_to(self.0) {
            Admission::Accept(Extensions::new())
        } else {
            Admission::Refuse(Status::REJECTED, Extensions::new())
        }
    }
}

/// How much was answered so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests that came to an end, whichever.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
}

/// The requests of a peer, and what is still to be said to it.
#[derive(Debug)]
pub struct Responder {
    limits: RespondLimits,
    active: VecDeque<Answer>,
    waiting: VecDeque<Waiting>,
    /// To be said at once.
    said: Vec<Response>,
    scopes: Scopes,
    sent: Sent,
    failures: Vec<(RequestId, RespondError)>,
}

/// A request that waits, with nothing of what it said that is not needed any more.
#[derive(Debug)]
struct Waiting {
    id: RequestId,
    priority: i32,
    root: Cid,
    selector: Selector,
    scope: Option<String>,
    skip: u64,
    held: Vec<BlockKey>,
    told: Extensions,
    paused: bool,
}

/// A request that is being answered.
#[derive(Debug)]
struct Answer {
    id: RequestId,
    priority: i32,
    walk: Walk,
    scope: Option<String>,
    /// Links whose blocks are not sent, from the first.
    skip: u64,
    /// Links that it has come to.
    links: u64,
    /// Those of them whose blocks are not there.
    missing: u64,
    paused: bool,
    /// To be said with the next part.
    extensions: Extensions,
}

/// What became of links.
type Links = Vec<(Cid, LinkAction)>;

/// Why a request ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum RespondError {
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{cid} has {length} bytes, no message holds more than {max}", max = block::MAX_BYTES)]
    TooLong { cid: Box<Cid>, length: usize },
}

impl Responder {
    /// Nobody has asked for anything yet.
    pub fn new(limits: RespondLimits) -> Self {
        let (active, waiting, scopes) = (VecDeque::new(), VecDeque::new(), Scopes::default());
        Self { limits, active, waiting, said: Vec::new(), scopes, sent: Sent::default(), failures: Vec::new() }
    }

    /// How much was answered so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Whether nothing was asked for that is not answered.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty() && self.said.is_empty()
    }

    /// Takes a request, or what is said about one.
    pub fn take(&mut self, request: Request, admit: &dyn Admit) {
        let id = request.id;
        match request.kind {
            RequestKind::New { root, selector, priority, extensions } => {
                self.begin(id, *root, &selector, priority, extensions, admit);
            }
            RequestKind::Update { extensions } => {
                let told = admit.update(id, &extensions);
                if let Some(answer) = self.active.iter_mut().find(|answer| answer.id == id) {
                    answer.extensions.extend(told);
                }
            }
            RequestKind::Cancel => self.cancel(id),
        }
    }

    fn begin(
        &mut self,
        id: RequestId,
        root: Cid,
        selector: &Ipld,
        priority: i32,
        extensions: Extensions,
        admit: &dyn Admit,
    ) {
        if self.knows(id) {
            // Nothing can be said of the second that would not be said of the first.
            return;
        }
        let Ok(selector) = Selector::parse(selector) else {
            return self.refuse(id, Status::REJECTED, Extensions::new());
        };
        if self.waiting.len() >= self.limits.waiting {
            return self.refuse(id, Status::BUSY, Extensions::new());
        }
        let scope = match extension(&extensions, DEDUP_BY_KEY) {
            Some(Ipld::String(key)) if key.len() > MAX_KEY => {
                return self.refuse(id, Status::REJECTED, Extensions::new());
            }
            Some(Ipld::String(key)) => Some(key.clone()),
            _ => None,
        };
        let skip = match extension(&extensions, DO_NOT_SEND_FIRST_BLOCKS) {
            Some(Ipld::Integer(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        let held = self.held(&extensions);
        if self.waiting.iter().map(|waiting| waiting.held.len()).sum::<usize>() + held.len() > MAX_HELD {
            return self.refuse(id, Status::BUSY, Extensions::new());
        }
        let asked = Asked { id, root, selector, extensions };
        let (told, paused) = match admit.admit(&asked) {
            Admission::Accept(told) => (told, false),
            Admission::Pause(told) => (told, true),
            Admission::Refuse(status, told) => return self.refuse(id, status, told),
        };
        let Asked { selector, .. } = asked;
        self.waiting.push_back(Waiting { id, priority, root, selector, scope, skip, held, told, paused });
        self.fill();
    }

    /// Blocks that a peer says it has.
    fn held(&self, extensions: &Extensions) -> Vec<BlockKey> {
        let Some(Ipld::List(links)) = extension(extensions, DO_NOT_SEND_CIDS) else { return Vec::new() };
        let key = |link: &Ipld| match link {
            Ipld::Link(cid) => Some(self.scopes.key(cid)),
            _ => None,
        };
        links.iter().filter_map(key).collect()
    }

    /// The requests that are not answered to their ends.
    pub fn ids(&self) -> impl Iterator<Item = RequestId> {
        self.active.iter().map(|answer| answer.id).chain(self.waiting.iter().map(|waiting| waiting.id))
    }

    fn knows(&self, id: RequestId) -> bool {
        self.ids().any(|known| known == id)
    }

    /// Says no. What is to be said to who does not listen does not grow without end.
    fn refuse(&mut self, id: RequestId, status: Status, extensions: Extensions) {
        self.sent.requests += 1;
        self.sent.refused += 1;
        if self.said.len() < self.limits.waiting {
            self.said.push(Response { id, status, links: Vec::new(), extensions });
        }
    }

    /// Ends a request, without a word: who asked does not want one.
    pub fn cancel(&mut self, id: RequestId) {
        self.waiting.retain(|waiting| waiting.id != id);
        if let Some(place) = self.active.iter().position(|answer| answer.id == id) {
            self.end(place);
        }
    }

    /// Ends a request with a word.
    pub fn fail(&mut self, id: RequestId, status: Status) {
        if self.knows(id) {
            self.cancel(id);
            self.said.push(Response { id, status, links: Vec::new(), extensions: Extensions::new() });
        }
    }

    /// Ends all requests with a word.
    pub fn fail_all(&mut self, status: Status) {
        let ids: Vec<_> = self.ids().collect();
        self.waiting.clear();
        self.active.clear();
        self.scopes = Scopes::default();
        for id in ids {
            self.refuse(id, status, Extensions::new());
        }
    }

    /// Stops answering a request for now, and says so.
    pub fn pause(&mut self, id: RequestId) {
        if let Some(answer) = self.active.iter_mut().find(|answer| answer.id == id && !answer.paused) {
            answer.paused = true;
            let extensions = mem::take(&mut answer.extensions);
            self.said.push(Response { id, status: Status::PAUSED, links: Vec::new(), extensions });
        }
    }

    /// Goes on with a request.
    pub fn resume(&mut self, id: RequestId, extensions: Extensions) {
        if let Some(answer) = self.active.iter_mut().find(|answer| answer.id == id) {
            answer.paused = false;
            answer.extensions.extend(extensions);
        } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            waiting.paused = false;
            waiting.told.extend(extensions);
        }
    }

    /// Begins with as many requests as may be answered at a time, the most urgent first.
    fn fill(&mut self) {
        while self.active.len() < self.limits.active
            && let Some(place) = first_of(self.waiting.iter().map(|waiting| waiting.priority))
            && let Some(mut waiting) = self.waiting.remove(place)
        {
            self.scopes.enter(&waiting.scope, &waiting.held);
            if waiting.paused {
                let extensions = mem::take(&mut waiting.told);
                self.said.push(Response { id: waiting.id, status: Status::PAUSED, links: Vec::new(), extensions });
            }
            let answer = Answer::new(waiting, self.limits.walk);
            self.active.push_back(answer);
        }
    }

    fn end(&mut self, place: usize) {
        if let Some(answer) = self.active.remove(place) {
            self.scopes.leave(&answer.scope);
            self.sent.requests += 1;
            self.fill();
        }
    }

    /// What is to be sent next, blocks being taken from a store; `None` until something else is asked for.
    pub fn next_message(&mut self, store: &dyn BlockStore) -> Option<Message> {
        let mut message = Message { responses: mem::take(&mut self.said), ..Message::default() };
        let next = first_of(self.active.iter().map(|answer| (!answer.paused, answer.priority)));
        if let Some(place) = next.filter(|place| !self.active[*place].paused)
            && let Some(mut answer) = self.active.remove(place)
        {
            let (links, end) = answer.turn(store, &mut self.scopes, &self.limits, &mut message.blocks);
            let status = match end {
                Some(Ok(status)) => status,
                Some(Err(failure)) => {
                    self.failures.push((answer.id, failure));
                    Status::FAILED
                }
                None => Status::PARTIAL,
            };
            let extensions = mem::take(&mut answer.extensions);
            message.responses.push(Response { id: answer.id, status, links, extensions });
            self.sent.blocks += message.blocks.len() as u64;
            self.sent.bytes += message.blocks.iter().map(|block| block.bytes().len() as u64).sum::<u64>();
            // Behind the others, whose turn it is now.
            self.active.push_back(answer);
            if status.is_end() {
                self.sent.refused += u64::from(!status.is_success());
                self.end(self.active.len() - 1);
            }
        }
        (!message.responses.is_empty()).then_some(message)
    }

    /// Why requests ended early since this was last asked: to be told to who runs the node, not to who asked.
    pub fn failures(&mut self) -> Vec<(RequestId, RespondError)> {
        mem::take(&mut self.failures)
    }
}

/// The first of those with the highest priority.
fn first_of<T: Ord>(priorities: impl Iterator<Item = T>) -> Option<usize> {
    priorities.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(place, _)| place)
}

impl Answer {
    fn new(waiting: Waiting, limits: Limits) -> Self {
        let walk = Walk::new(waiting.root, &waiting.selector, limits).asking_for_identities();
        let Waiting { id, priority, scope, skip, told: extensions, paused, .. } = waiting;
        Self { id, priority, walk, scope, skip, links: 0, missing: 0, paused, extensions }
    }

    /// Walks on until a message is full, or to the end; how that was.
    fn turn(
        &mut self,
        store: &dyn BlockStore,
        scopes: &mut Scopes,
        limits: &RespondLimits,
        blocks: &mut Vec<Block>,
    ) -> (Links, Option<Result<Status, RespondError>>) {
        let (mut links, mut bytes) = (Links::new(), 0);
        while bytes < limits.message_bytes && links.len() < limits.message_links {
            match self.step(store) {
                Ok(None) => return (links, Some(Ok(self.verdict()))),
                Err(failure) => return (links, Some(Err(failure))),
                Ok(Some((cid, None))) => links.push((cid, LinkAction::Missing)),
                Ok(Some((cid, Some(block)))) => {
                    let is_new = scopes.insert(&self.scope, &cid) && self.links > self.skip;
                    links.push((cid, if is_new { LinkAction::Present } else { LinkAction::Duplicate }));
                    if is_new {
                        bytes += block.bytes().len();
                        blocks.push(block);
                    }
                }
            }
        }
        (links, None)
    }

    /// The next link and its block, if that is there.
    fn step(&mut self, store: &dyn BlockStore) -> Result<Option<(Cid, Option<Block>)>, RespondError> {
        let Some(wanted) = self.walk.next_block()? else { return Ok(None) };
        self.links += 1;
        let Some(bytes) = store.get(&wanted.cid)? else {
            self.missing += 1;
            self.walk.skip();
            return Ok(Some((wanted.cid, None)));
        };
        if bytes.len() > block::MAX_BYTES {
            return Err(RespondError::TooLong { cid: Box::new(wanted.cid), length: bytes.len() });
        }
        let block = Block::trusted(wanted.cid, bytes);
        self.walk.supply_block(&block)?;
        Ok(Some((wanted.cid, Some(block))))
    }

    fn verdict(&self) -> Status {
        match (self.missing, self.links) {
            (0, _) => Status::COMPLETED,
            // Nothing but the root was asked for.
            (1, 1) => Status::NOT_FOUND,
            _ => Status::COMPLETED_PARTIALLY,
        }
    }
}

#[cfg(test)]
mod tests;
