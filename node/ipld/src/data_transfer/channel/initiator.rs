//! What an initiator makes of what the responder says.

use super::{Channel, Effects, remember};
use crate::data_transfer::{ChannelError, Effect, News, Role, Status};
use crate::wire::data_transfer::{Response, ResponseKind};

/// What a response is about.
enum Step {
    Begin(News),
    Voucher,
    Complete,
}

impl Channel {
    pub(super) fn take_response(&mut self, Response { id, kind }: Response) -> Effects {
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
        // What it said by itself may have overtaken this, which it said first.
        let is_paused = is_paused || self.stage == Status::Requested && self.responder_paused;
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
