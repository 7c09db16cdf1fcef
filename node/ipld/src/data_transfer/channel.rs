//! The state of a channel at one of its ends.

use super::{ChannelError, Decision, Effect, Event, MAX_VOUCHERS, News, Progress, Role, Status, Validate};
use crate::wire::data_transfer::{
    ChannelId, Message, Opening, Request, RequestKind, Response, ResponseKind, Typed, Verdict,
};

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

type Effects = Result<Vec<Effect>, ChannelError>;

impl Channel {
    /// Opens a channel, as its initiator.
    pub fn open(id: ChannelId, opening: Opening) -> (Self, Vec<Effect>) {
        let channel = Self::new(id, opening, Role::Initiator, Status::Requested);
        let message = channel.request(RequestKind::New(Box::new(channel.opening.clone())));
        let effect =
            if channel.opening.is_pull { Effect::Ask { message, is_restart: false } } else { Effect::Send(message) };
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

    /// Something happens. At the end of a channel nothing more comes of it, but that who missed the end is told.
    ///
    /// # Errors
    /// [`ChannelError`]; the channel is then as it was.
    pub fn take(&mut self, event: Event, validate: &dyn Validate) -> Effects {
        if self.stage.is_final() && !matches!(event, Event::Queued(_) | Event::Sent(_) | Event::Received(_)) {
            return Ok(self.take_after_end(&event));
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

    /// Who asks for a restart does not know that it is over.
    fn take_after_end(&mut self, event: &Event) -> Vec<Effect> {
        let Event::Message(Message::Request(Request { id, kind: RequestKind::Restart(_) })) = event else {
            return Vec::new();
        };
        if self.role != Role::Responder || *id != self.id.id {
            return Vec::new();
        }
        let message = match self.stage {
            Status::Completed => self.response(ResponseKind::Complete(Decision::accept().verdict)),
            _ => self.cancel_message(),
        };
        vec![self.refusal(message)]
    }

    /// How a responder says no: to the graphsync request that it was asked with, if it was.
    fn refusal(&self, message: Message) -> Effect {
        if self.is_receiver() { Effect::Send(message) } else { Effect::Refuse(message) }
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
        vec![Effect::Pause, Effect::Send(self.update_message(true))]
    }

    fn resume(&mut self) -> Vec<Effect> {
        if self.stage == Status::Finalizing {
            // There is nothing to wait for but the last voucher, and it is done without.
            return self.decide(Decision::accept());
        }
        if !self.set_paused(self.role, false) {
            return Vec::new();
        }
        vec![Effect::Resume, Effect::Send(self.update_message(false))]
    }

    fn restart(&mut self) -> Vec<Effect> {
        if self.role == Role::Responder {
            return vec![Effect::Send(Message::Request(Request::please_restart(self.id.clone())))];
        }
        let message = self.request(RequestKind::Restart(Box::new(self.opening.clone())));
        if !self.is_receiver() {
            return vec![Effect::Send(message)];
        }
        self.ask(message, true)
    }

    fn ask(&self, message: Message, is_restart: bool) -> Vec<Effect> {
        let mut effects = vec![Effect::Ask { message, is_restart }];
        if self.is_paused(self.role) {
            effects.push(Effect::Pause);
        }
        effects
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

    /// A responder goes along with a channel, or does not.
    fn begin(&mut self, decision: Decision, message: Message, news: News) -> Vec<Effect> {
        let Decision { verdict, needs_last_voucher } = decision;
        if !verdict.is_accepted {
            let refusal = self.refusal(message);
            let mut effects = self.end(Status::Failed, Some(refusal), News::Refused);
            if news == News::Accepted {
                // There is nothing yet that could be over.
                effects.remove(0);
            }
            return effects;
        }
        self.needs_last_voucher = needs_last_voucher;
        self.set_paused(Role::Responder, verdict.is_paused);
        let mut effects = if self.is_receiver() {
            self.ask(message, news == News::Restarted)
        } else {
            vec![Effect::Serve { message: Some(message), is_paused: verdict.is_paused }]
        };
        effects.push(Effect::Tell(news));
        effects
    }

    /// A responder has thought about a voucher.
    fn decide(&mut self, decision: Decision) -> Vec<Effect> {
        let Decision { mut verdict, needs_last_voucher } = decision;
        let is_finalizing = self.stage == Status::Finalizing;
        if !verdict.is_accepted {
            let message = self.verdict_message(is_finalizing, verdict);
            return self.end(Status::Failed, Some(Effect::Send(message)), News::Refused);
        }
        self.needs_last_voucher = needs_last_voucher;
        if is_finalizing {
            verdict.is_paused |= needs_last_voucher;
            let is_paused = verdict.is_paused;
            let message = self.verdict_message(true, verdict);
            return if is_paused { vec![Effect::Send(message)] } else { self.complete(Some(message)) };
        }
        let is_paused = verdict.is_paused;
        let mut effects = vec![Effect::Send(self.verdict_message(false, verdict))];
        if self.set_paused(Role::Responder, is_paused) {
            effects.push(if is_paused { Effect::Pause } else { Effect::Resume });
        }
        effects
    }

    fn verdict_message(&self, is_finalizing: bool, verdict: Verdict) -> Message {
        self.response(if is_finalizing { ResponseKind::Complete(verdict) } else { ResponseKind::Voucher(verdict) })
    }

    fn take_request(&mut self, Request { id, kind }: Request, validate: &dyn Validate) -> Effects {
        if let RequestKind::PleaseRestart(channel) = kind {
            self.only(Role::Initiator, "the wish for a restart")?;
            return if channel == self.id { Ok(self.restart()) } else { Err(ChannelError::OtherChannel) };
        }
        self.only(Role::Responder, "a request")?;
        if id != self.id.id {
            return Err(ChannelError::OtherChannel);
        }
        match kind {
            RequestKind::New(_) => Err(ChannelError::Open),
            RequestKind::Update { is_paused } => Ok(self.other_paused(is_paused)),
            RequestKind::Cancel => Ok(self.end(Status::Cancelled, None, News::Cancelled)),
            RequestKind::Voucher(voucher) => {
                remember(&mut self.vouchers, voucher.clone())?;
                let mut effects = vec![Effect::Tell(News::Voucher)];
                if let Some(decision) = validate.voucher(self, &voucher) {
                    effects.extend(self.decide(decision));
                }
                Ok(effects)
            }
            RequestKind::Restart(opening) => Ok(self.restarted(&opening, validate)),
            RequestKind::PleaseRestart(_) => Err(ChannelError::OtherChannel),
        }
    }

    fn restarted(&mut self, opening: &Opening, validate: &dyn Validate) -> Vec<Effect> {
        if *opening != self.opening {
            // It is another channel that is meant; ours may still go on.
            let message = self.response(ResponseKind::Restart(Verdict::default()));
            return vec![self.refusal(message)];
        }
        let decision = validate.restart(self);
        let message = self.response(ResponseKind::Restart(decision.verdict.clone()));
        if decision.verdict.is_accepted {
            // All of it goes over once more, as far as it is not there.
            self.stage = Status::Ongoing;
        }
        self.begin(decision, message, News::Restarted)
    }

    fn take_response(&mut self, Response { id, kind }: Response) -> Effects {
        self.only(Role::Initiator, "a response")?;
        if id != self.id.id {
            return Err(ChannelError::OtherChannel);
        }
        let (verdict, step) = match kind {
            ResponseKind::Cancel => return Ok(self.end(Status::Cancelled, None, News::Cancelled)),
            ResponseKind::Update { is_paused } => return Ok(self.other_paused(is_paused)),
            ResponseKind::New(verdict) => (verdict, Step::Begin(News::Accepted)),
            ResponseKind::Restart(verdict) => (verdict, Step::Begin(News::Restarted)),
            ResponseKind::Voucher(verdict) => (verdict, Step::Voucher),
            ResponseKind::Complete(verdict) => (verdict, Step::Complete),
        };
        let mut effects = Vec::new();
        if let Some(result) = verdict.result {
            remember(&mut self.results, result)?;
            effects.push(Effect::Tell(News::Result));
        }
        effects.extend(match step {
            _ if !verdict.is_accepted => self.end(Status::Failed, None, News::Refused),
            Step::Begin(news) => self.begun(verdict.is_paused, news),
            Step::Voucher => self.other_paused(verdict.is_paused),
            Step::Complete if verdict.is_paused => self.responder_finalizes(),
            Step::Complete => self.responder_completes(),
        });
        Ok(effects)
    }

    /// The responder goes along with it.
    fn begun(&mut self, is_paused: bool, news: News) -> Vec<Effect> {
        if self.stage == Status::Requested {
            self.stage = Status::Ongoing;
        }
        let mut effects = vec![Effect::Tell(news)];
        effects.extend(self.other_paused(is_paused));
        if !self.is_receiver() {
            effects.insert(0, Effect::Serve { message: None, is_paused: self.initiator_paused });
        }
        effects
    }

    fn responder_finalizes(&mut self) -> Vec<Effect> {
        self.stage = match self.stage {
            Status::TransferFinished | Status::ResponderFinalizingTransferFinished => {
                Status::ResponderFinalizingTransferFinished
            }
            _ => Status::ResponderFinalizing,
        };
        vec![Effect::Tell(News::LastVoucher)]
    }

    fn responder_completes(&mut self) -> Vec<Effect> {
        match self.stage {
            Status::TransferFinished | Status::ResponderFinalizingTransferFinished => self.complete(None),
            // Who got the data has all of it, whether or not we have heard the end of graphsync.
            _ if !self.is_receiver() => self.complete(None),
            _ => {
                self.stage = Status::ResponderCompleted;
                Vec::new()
            }
        }
    }
}

/// What a response is about.
enum Step {
    Begin(News),
    Voucher,
    Complete,
}

fn remember(list: &mut Vec<Typed>, typed: Typed) -> Result<(), ChannelError> {
    if list.len() >= MAX_VOUCHERS {
        return Err(ChannelError::TooMany);
    }
    list.push(typed);
    Ok(())
}

fn count(sum: &mut u64, bytes: u64) -> Vec<Effect> {
    *sum = sum.saturating_add(bytes);
    Vec::new()
}
