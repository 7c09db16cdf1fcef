//! The state of a channel at one of its ends.

use super::{
    ChannelError, Decision, Effect, Event, MAX_VOUCHER_BYTES, MAX_VOUCHERS, News, Progress, Role, Status, Validate,
};
use crate::codec::dag_cbor;
use crate::graphsync::Asked;
use crate::selector::Selector;
use crate::wire::data_transfer::{ChannelId, Message, Opening, Request, RequestKind, Response, ResponseKind, Typed};

/// A channel at one of its ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    id: ChannelId,
    opening: Opening,
    role: Role,
    /// Never one of those that are paused.
    stage: Status,
    initiator_paused: bool,
    responder_paused: bool,
    needs_last_voucher: bool,
    progress: Progress,
    vouchers: Vec<Typed>,
    results: Vec<Typed>,
}

mod initiator;
mod responder;
mod saved;

pub use saved::SavedError;

type Effects = Result<Vec<Effect>, ChannelError>;

impl Channel {
    /// Opens a channel, as its initiator.
    pub fn open(id: ChannelId, opening: Opening) -> (Self, Vec<Effect>) {
        let channel = Self::new(id, opening, Role::Initiator, Status::Requested);
        let message = channel.request(RequestKind::New(Box::new(channel.opening.clone())));
        let effect = if channel.opening.is_pull { Effect::Ask(message) } else { Effect::Send(message) };
        (channel, vec![effect])
    }

    /// Takes a channel that another has opened, as its responder. One that is refused has failed.
    pub fn answer(id: ChannelId, opening: Opening, validate: &dyn Validate) -> (Self, Vec<Effect>) {
        let mut channel = Self::new(id, opening, Role::Responder, Status::Ongoing);
        let decision = validate.open(&channel.id, &channel.opening);
        let message = channel.response(ResponseKind::New(decision.verdict.clone()));
        let effects = channel.begin(decision, message, News::Accepted);
        (channel, effects)
    }

    fn new(id: ChannelId, opening: Opening, role: Role, stage: Status) -> Self {
        Self {
            id,
            vouchers: opening.voucher.iter().cloned().collect(),
            opening,
            role,
            stage,
            initiator_paused: false,
            responder_paused: false,
            needs_last_voucher: false,
            progress: Progress::default(),
            results: Vec::new(),
        }
    }

    /// Which channel it is.
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// What it is for.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Which end of it we are.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether we are who gets the data, and so who asks by graphsync.
    pub fn is_receiver(&self) -> bool {
        self.opening.is_pull == (self.role == Role::Initiator)
    }

    /// Whether a graphsync request asks for what the channel is for: else nobody has agreed to it.
    pub fn is_for(&self, asked: &Asked) -> bool {
        asked.root == self.opening.root && Selector::parse(&self.opening.selector).as_ref() == Ok(&asked.selector)
    }

    /// How far it is.
    pub fn status(&self) -> Status {
        match (self.stage, self.initiator_paused, self.responder_paused) {
            (Status::Requested | Status::Ongoing, true, true) => Status::BothPaused,
            (Status::Requested | Status::Ongoing, true, false) => Status::InitiatorPaused,
            (Status::Requested | Status::Ongoing, false, true) => Status::ResponderPaused,
            (stage, ..) => stage,
        }
    }

    /// Whether one of its ends waits.
    pub fn is_paused(&self, role: Role) -> bool {
        match role {
            Role::Initiator => self.initiator_paused,
            Role::Responder => self.responder_paused,
        }
    }

    /// Whether the responder wants a last voucher once all data is over; only it knows.
    pub fn needs_last_voucher(&self) -> bool {
        self.needs_last_voucher
    }

    /// How much went over it.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The vouchers that were given, that of the opening first.
    pub fn vouchers(&self) -> &[Typed] {
        &self.vouchers
    }

    /// What the responder had to say of them.
    pub fn results(&self) -> &[Typed] {
        &self.results
    }

    /// Something happens. At the end of a channel nothing more comes of it, but that who missed the end is told, and that who did not get
    /// all of the data gets the rest.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel is then as it was.
    pub fn take(&mut self, event: Event, validate: &dyn Validate) -> Effects {
        if self.stage.is_final() && !matches!(event, Event::Queued(_) | Event::Sent(_) | Event::Received(_)) {
            return Ok(self.take_after_end(&event, validate));
        }
        match event {
            Event::Message(Message::Request(request)) => self.take_request(request, validate),
            Event::Message(Message::Response(response)) => self.take_response(response),
            Event::Pause if self.is_paused(self.role) => Ok(Vec::new()),
            Event::Pause => Ok(self.pause()),
            Event::Resume => Ok(self.resume()),
            Event::Cancel => {
                let message = self.cancel_message();
                Ok(self.end(Status::Cancelled, Some(Effect::Send(message)), News::Cancelled))
            }
            Event::Failed(reason) => {
                let message = self.cancel_message();
                Ok(self.end(Status::Failed, Some(Effect::Send(message)), News::Failed(reason)))
            }
            Event::Restart => Ok(self.restart()),
            Event::Voucher(voucher) => {
                self.only(Role::Initiator, "a voucher of our own")?;
                remember(&mut self.vouchers, voucher.clone())?;
                Ok(vec![Effect::Send(self.request(RequestKind::Voucher(voucher)))])
            }
            Event::Decide(decision) => {
                self.only(Role::Responder, "a decision")?;
                Ok(self.decide(decision))
            }
            Event::Queued(bytes) => Ok(count(&mut self.progress.queued, bytes)),
            Event::Sent(bytes) => Ok(count(&mut self.progress.sent, bytes)),
            Event::Received(bytes) => Ok(count(&mut self.progress.received, bytes)),
            Event::Finished => Ok(self.finish()),
            // Who waits asks no more; when it goes on it asks again.
            Event::Cut if !self.is_receiver() && self.is_paused(self.other()) => Ok(Vec::new()),
            Event::Cut => Ok(vec![Effect::Tell(News::Cut)]),
        }
    }

    fn only(&self, role: Role, what: &'static str) -> Result<(), ChannelError> {
        if self.role == role { Ok(()) } else { Err(ChannelError::Role(what, self.role)) }
    }

    fn request(&self, kind: RequestKind) -> Message {
        Message::Request(Request { id: self.id.id, kind })
    }

    fn response(&self, kind: ResponseKind) -> Message {
        Message::Response(Response { id: self.id.id, kind })
    }

    fn update_message(&self, is_paused: bool) -> Message {
        match self.role {
            Role::Initiator => self.request(RequestKind::Update { is_paused }),
            Role::Responder => self.response(ResponseKind::Update { is_paused }),
        }
    }

    fn cancel_message(&self) -> Message {
        match self.role {
            Role::Initiator => self.request(RequestKind::Cancel),
            Role::Responder => self.response(ResponseKind::Cancel),
        }
    }

    /// Nothing comes after it.
    fn end(&mut self, stage: Status, message: Option<Effect>, news: News) -> Vec<Effect> {
        self.stage = stage;
        let mut effects = vec![Effect::Stop];
        effects.extend(message);
        effects.push(Effect::Tell(news));
        effects
    }

    /// It is over, and all went well: both halves have come to their ends.
    fn complete(&mut self, message: Option<Message>) -> Vec<Effect> {
        self.stage = Status::Completed;
        message.map(Effect::Send).into_iter().chain([Effect::Tell(News::Completed)]).collect()
    }

    fn set_paused(&mut self, role: Role, is_paused: bool) -> bool {
        let flag = match role {
            Role::Initiator => &mut self.initiator_paused,
            Role::Responder => &mut self.responder_paused,
        };
        std::mem::replace(flag, is_paused) != is_paused
    }

    fn other(&self) -> Role {
        match self.role {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        }
    }

    fn other_paused(&mut self, is_paused: bool) -> Vec<Effect> {
        let is_news = self.set_paused(self.other(), is_paused);
        if is_news { vec![Effect::Tell(News::OtherPaused(is_paused))] } else { Vec::new() }
    }

    fn pause(&mut self) -> Vec<Effect> {
        self.set_paused(self.role, true);
        vec![self.halt(), Effect::Send(self.update_message(true))]
    }

    fn resume(&mut self) -> Vec<Effect> {
        if self.stage == Status::Finalizing {
            // There is nothing to wait for but the last voucher, and it is done without.
            return self.decide(Decision::accept());
        }
        if !self.set_paused(self.role, false) {
            return Vec::new();
        }
        let mut effects = vec![Effect::Send(self.update_message(false))];
        effects.extend(self.go_on());
        effects
    }

    /// Our half waits. Who gets the data asks no more.
    fn halt(&self) -> Effect {
        if self.is_receiver() { Effect::Stop } else { Effect::Pause }
    }

    /// Our half no longer waits.
    fn go_on(&self) -> Option<Effect> {
        if !self.is_receiver() {
            return Some(Effect::Resume);
        }
        let is_over = matches!(self.stage, Status::TransferFinished | Status::ResponderFinalizingTransferFinished);
        (!is_over).then(|| Effect::Ask(self.again()))
    }

    /// What goes with a graphsync request that is not the first.
    fn again(&self) -> Message {
        match self.role {
            Role::Initiator => self.request(RequestKind::Restart(Box::new(self.opening.clone()))),
            Role::Responder => self.response(ResponseKind::Restart(Decision::accept().verdict)),
        }
    }

    fn restart(&self) -> Vec<Effect> {
        match self.role {
            Role::Responder => vec![Effect::Send(Message::Request(Request::please_restart(self.id.clone())))],
            Role::Initiator if !self.is_receiver() => vec![Effect::Send(self.again())],
            // It asks once it no longer waits.
            Role::Initiator if self.initiator_paused => Vec::new(),
            Role::Initiator => vec![Effect::Ask(self.again())],
        }
    }

    /// All data went over.
    fn finish(&mut self) -> Vec<Effect> {
        match (self.role, self.stage) {
            (Role::Initiator, Status::ResponderCompleted) => return self.complete(None),
            (Role::Initiator, Status::ResponderFinalizing) => self.stage = Status::ResponderFinalizingTransferFinished,
            (Role::Initiator, Status::Requested | Status::Ongoing) => self.stage = Status::TransferFinished,
            (Role::Responder, Status::Ongoing) if self.needs_last_voucher => {
                self.stage = Status::Finalizing;
                let verdict = Decision::pause(None).verdict;
                return vec![Effect::Send(self.response(ResponseKind::Complete(verdict)))];
            }
            (Role::Responder, Status::Ongoing) => {
                let message = self.response(ResponseKind::Complete(Decision::accept().verdict));
                return self.complete(Some(message));
            }
            _ => {}
        }
        Vec::new()
    }
}

fn remember(list: &mut Vec<Typed>, typed: Typed) -> Result<(), ChannelError> {
    let bytes = |typed: &Typed| typed.name.len() + dag_cbor::encode(&typed.value).len();
    if list.len() >= MAX_VOUCHERS || list.iter().skip(1).chain([&typed]).map(bytes).sum::<usize>() > MAX_VOUCHER_BYTES {
        return Err(ChannelError::TooMany);
    }
    list.push(typed);
    Ok(())
}

fn count(sum: &mut u64, bytes: u64) -> Vec<Effect> {
    *sum = sum.saturating_add(bytes);
    Vec::new()
}
