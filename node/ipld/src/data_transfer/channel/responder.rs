//! What a responder makes of what the initiator says, and of what it decides itself.

use super::{Channel, Effects, remember};
use crate::data_transfer::{ChannelError, Decision, Effect, Event, News, Role, Status, Validate};
use crate::wire::data_transfer::{Message, Opening, Request, RequestKind, ResponseKind, Verdict};

impl Channel {
    pub(super) fn take_request(&mut self, Request { id, kind }: Request, validate: &dyn Validate) -> Effects {
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
            // Whoever asks does not wait.
            self.initiator_paused &= self.is_receiver();
        }
        self.begin(decision, message, News::Restarted)
    }

    /// A responder goes along with a channel, or does not.
    pub(super) fn begin(&mut self, decision: Decision, message: Message, news: News) -> Vec<Effect> {
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
        let is_paused = verdict.is_paused;
        let effect = match (self.is_receiver(), is_paused) {
            (true, true) => Effect::Send(message),
            (true, false) => Effect::Ask(message),
            (false, _) => Effect::Serve { message: Some(message), is_paused },
        };
        vec![effect, Effect::Tell(news)]
    }

    /// A responder has thought about a voucher.
    pub(super) fn decide(&mut self, decision: Decision) -> Vec<Effect> {
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
            effects.extend(if is_paused { Some(self.halt()) } else { self.go_on() });
        }
        effects
    }

    fn verdict_message(&self, is_finalizing: bool, verdict: Verdict) -> Message {
        self.response(if is_finalizing { ResponseKind::Complete(verdict) } else { ResponseKind::Voucher(verdict) })
    }

    /// How a responder says no: to the graphsync request that it was asked with, if it was.
    fn refusal(&self, message: Message) -> Effect {
        if self.is_receiver() { Effect::Send(message) } else { Effect::Refuse(message) }
    }

    /// Who asks for a restart does not know that it is over, or has not got all of the data.
    pub(super) fn take_after_end(&mut self, event: &Event, validate: &dyn Validate) -> Vec<Effect> {
        let Event::Message(Message::Request(Request { id, kind: RequestKind::Restart(opening) })) = event else {
            return Vec::new();
        };
        if self.role != Role::Responder || *id != self.id.id {
            return Vec::new();
        }
        let completed = self.response(ResponseKind::Complete(Decision::accept().verdict));
        let effect = match self.stage {
            Status::Completed if self.is_receiver() => Effect::Send(completed),
            Status::Completed if **opening == self.opening && validate.restart(self).verdict.is_accepted => {
                Effect::Serve { message: Some(completed), is_paused: false }
            }
            _ => self.refusal(self.cancel_message()),
        };
        vec![effect]
    }
}
