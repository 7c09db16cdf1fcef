//! Messages of data transfer, and a channel at either end to which anything may happen.

use filecash_ipld::codec::{Codec, dag_cbor};
use filecash_ipld::data_transfer::{Channel, Decision, Effect, Event, MAX_VOUCHERS, News, Role, Validate};
use filecash_ipld::graphsync::Asked;
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::wire::data_transfer::{
    ChannelId, MAX_VALUES, Message, Opening, Request, RequestKind, Response, ResponseKind, Typed, Verdict, Version,
};
use filecash_ipld::wire::graphsync::{Extensions, RequestId};
use filecash_ipld::{Block, Ipld};

/// The most events of a run: each is followed by a look at the whole channel.
const MAX_EVENTS: usize = 64;

/// What the first byte says: a message; a channel as it was saved, and what happens to it; what happens to one that was opened, or
/// answered. Messages are read again as they were written, in each version that has them; a channel, too. An end stays one, whoever waits
/// hears of it once, and what cannot happen changes nothing. As many acceptances as ways to read a message, channels that were read, and
/// events of which something came.
pub fn data_transfer(data: &[u8]) -> usize {
    let Some((kind, rest)) = data.split_first() else { return 0 };
    match kind % 4 {
        0 => read(rest),
        1 => saved(rest),
        end => begun(end == 2, kind & 4 != 0, rest),
    }
}

/// By itself, and as a value of an extension of graphsync.
fn read(data: &[u8]) -> usize {
    // One that is written may have some values more.
    if data.len() > MAX_VALUES / 2 {
        return 0;
    }
    let alone = Message::decode(data).ok();
    let inside = dag_cbor::decode(data).ok().and_then(|value| Message::from_ipld(value).ok());
    assert!(inside.is_none() || inside == alone);
    let Some(message) = &alone else { return 0 };
    assert_written(message);
    if let Message::Request(Request { kind: RequestKind::New(opening) | RequestKind::Restart(opening), .. }) = message {
        for (channel, effects) in [
            Channel::open(id(), (**opening).clone()),
            Channel::answer(id(), (**opening).clone(), &Says::of(&[1, 1, 0])),
        ] {
            assert_said(&channel, &effects);
            assert_eq!(Channel::from_bytes(&channel.to_bytes()).as_ref(), Ok(&channel));
            channel.is_for(&asked());
        }
    }
    1 + usize::from(inside.is_some())
}

fn assert_written(message: &Message) {
    let kind = |request: &Request| matches!(request.kind, RequestKind::Restart(_) | RequestKind::PleaseRestart(_));
    let is_restart = match message {
        Message::Request(request) => kind(request),
        Message::Response(response) => matches!(response.kind, ResponseKind::Restart(_)),
    };
    for version in Version::ALL {
        let (bytes, value) = (message.encode(version), message.to_ipld(version));
        assert_eq!((bytes.is_err(), value.is_err()), (is_restart && version == Version::V1_0, bytes.is_err()));
        if let (Ok(bytes), Ok(value)) = (bytes, value) {
            assert_eq!(Message::decode(&bytes).as_ref(), Ok(message));
            assert_eq!(Message::from_ipld(value).as_ref(), Ok(message));
        }
    }
}

fn saved(data: &[u8]) -> usize {
    let length = match dag_cbor::decode_first(data) {
        Ok(Some((_, length))) => length,
        _ => data.len(),
    };
    let (bytes, events) = data.split_at(length);
    let Ok(channel) = Channel::from_bytes(bytes) else { return 0 };
    assert!(channel.vouchers().len() <= MAX_VOUCHERS && channel.results().len() <= MAX_VOUCHERS);
    channel.is_for(&asked());
    1 + run(channel, false, events)
}

fn begun(is_initiator: bool, is_pull: bool, data: &[u8]) -> usize {
    let (channel, effects) = if is_initiator {
        Channel::open(id(), opening(is_pull))
    } else {
        Channel::answer(id(), opening(is_pull), &Says::of(data))
    };
    assert_said(&channel, &effects);
    assert!(channel.is_for(&asked()));
    run(channel, true, data)
}

/// Three bytes say how the responder decides. Then each two are what happens and with what; where that is a message, its length is the
/// second and its bytes follow. A channel of any bytes may be in a state that it could not come to, and what it says is not asked for.
fn run(mut channel: Channel, is_sound: bool, data: &[u8]) -> usize {
    let mut says = Says::of(data);
    let mut data = data.get(3..).unwrap_or_default();
    let mut accepted = 0;
    for _ in 0..MAX_EVENTS {
        let [what, with, rest @ ..] = data else { break };
        data = rest;
        let event = match what % 16 {
            0 => {
                let (bytes, rest) = data.split_at(data.len().min(usize::from(*with)));
                data = rest;
                let Ok(message) = Message::decode(bytes) else { continue };
                Event::Message(message)
            }
            15 => {
                says = Says::of(&[*what, *with, *with]);
                continue;
            }
            what => happens(what, *with),
        };
        accepted += usize::from(step(&mut channel, event, &says, is_sound));
    }
    accepted
}

/// Whether something came of it.
fn step(channel: &mut Channel, event: Event, says: &Says, is_sound: bool) -> bool {
    let before = channel.clone();
    let is_count = matches!(event, Event::Queued(_) | Event::Sent(_) | Event::Received(_));
    let taken = channel.take(event, says);
    assert!(taken.is_ok() || *channel == before);
    let effects = taken.unwrap_or_default();
    if before.status().is_final() {
        assert_eq!(channel.status(), before.status());
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Tell(_) | Effect::Ask(_))));
    }
    let is_end = |news: &News| matches!(news, News::Completed | News::Refused | News::Cancelled | News::Failed(_));
    let told = effects.iter().filter(|effect| matches!(effect, Effect::Tell(news) if is_end(news))).count();
    assert_eq!(told, usize::from(channel.status().is_final() && !before.status().is_final()));
    let (progress, earlier) = (channel.progress(), before.progress());
    assert!(progress == earlier || is_count && effects.is_empty() && channel.status() == before.status());
    assert!(
        progress.queued >= earlier.queued && progress.sent >= earlier.sent && progress.received >= earlier.received
    );
    assert_eq!(Channel::from_bytes(&channel.to_bytes()).as_ref(), Ok(&*channel));
    if is_sound {
        assert_said(channel, &effects);
    }
    !effects.is_empty()
}

/// Who gets the data asks, who has it answers, and each end says what is its own to say.
fn assert_said(channel: &Channel, effects: &[Effect]) {
    for effect in effects {
        let message = match effect {
            Effect::Send(message) => Some(message),
            Effect::Ask(message) => {
                assert!(channel.is_receiver());
                Some(message)
            }
            Effect::Serve { message, .. } => {
                assert!(!channel.is_receiver());
                message.as_ref()
            }
            Effect::Refuse(message) => {
                assert!(!channel.is_receiver());
                Some(message)
            }
            Effect::Pause | Effect::Resume => {
                assert!(!channel.is_receiver());
                None
            }
            Effect::Stop | Effect::Tell(_) => None,
        };
        let Some(message) = message else { continue };
        let speaker = match message {
            Message::Response(_) | Message::Request(Request { kind: RequestKind::PleaseRestart(_), .. }) => {
                Role::Responder
            }
            Message::Request(_) => Role::Initiator,
        };
        assert_eq!(speaker, channel.role());
        assert_written(message);
    }
}

fn happens(what: u8, with: u8) -> Event {
    let is_paused = with & 0x10 != 0;
    let number = if with & 0xe0 == 0xe0 { 8 } else { id().id };
    match what {
        1 => {
            let kind = match with % 6 {
                0 => RequestKind::New(Box::new(opening(is_paused))),
                1 => RequestKind::Restart(Box::new(opening(is_paused))),
                2 => RequestKind::Update { is_paused },
                3 => RequestKind::Cancel,
                4 => RequestKind::Voucher(typed("Fake/1")),
                _ => RequestKind::PleaseRestart(ChannelId { id: number, ..id() }),
            };
            Event::Message(Message::Request(Request { id: number, kind }))
        }
        2 => {
            let Decision { verdict, .. } = decision(with);
            let kind = match with >> 4 & 7 {
                0 => ResponseKind::New(verdict),
                1 => ResponseKind::Restart(verdict),
                2 => ResponseKind::Voucher(verdict),
                3 => ResponseKind::Complete(verdict),
                4 => ResponseKind::Cancel,
                5 => ResponseKind::Update { is_paused: verdict.is_paused },
                _ => return Event::Message(Message::Response(Response { id: 8, kind: ResponseKind::Cancel })),
            };
            Event::Message(Message::Response(Response { id: id().id, kind }))
        }
        3 => Event::Pause,
        4 => Event::Resume,
        5 => Event::Cancel,
        6 => Event::Restart,
        7 => Event::Voucher(typed("Fake/2")),
        8 => Event::Decide(decision(with)),
        9 => Event::Queued(u64::from(with).rotate_right(8)),
        10 => Event::Sent(with.into()),
        11 => Event::Received(u64::from(with) << 32),
        12 => Event::Finished,
        13 => Event::Cut,
        _ => Event::Failed(with.to_string()),
    }
}

/// Decides as bytes say: of a new channel, of a restart, and, unless its byte has the highest bit, of vouchers.
struct Says {
    open: Decision,
    restart: Decision,
    voucher: Option<Decision>,
}

impl Says {
    fn of(data: &[u8]) -> Self {
        let byte = |place: usize| data.get(place).copied().unwrap_or(1);
        Self {
            open: decision(byte(0)),
            restart: decision(byte(1)),
            voucher: (byte(2) & 0x80 == 0).then(|| decision(byte(2))),
        }
    }
}

impl Validate for Says {
    fn open(&self, _id: &ChannelId, _opening: &Opening) -> Decision {
        self.open.clone()
    }

    fn restart(&self, _channel: &Channel) -> Decision {
        self.restart.clone()
    }

    fn voucher(&self, _channel: &Channel, _voucher: &Typed) -> Option<Decision> {
        self.voucher.clone()
    }
}

fn decision(byte: u8) -> Decision {
    let flag = |bit: u8| byte & 1 << bit != 0;
    let verdict = Verdict { is_accepted: flag(0), is_paused: flag(1), result: flag(3).then(|| typed("Result/1")) };
    Decision { verdict, needs_last_voucher: flag(2) }
}

fn typed(name: &str) -> Typed {
    Typed { name: name.to_owned(), value: Ipld::Integer(7) }
}

fn id() -> ChannelId {
    ChannelId { initiator: vec![0, 0xff], responder: vec![1, 0xff], id: 7 }
}

fn opening(is_pull: bool) -> Opening {
    let root = Block::new(HashKind::Sha256, Codec::Raw, b"hello".to_vec()).expect("SHA-256 takes all bytes");
    Opening { root: *root.cid(), selector: Selector::everything().to_ipld(), is_pull, voucher: Some(typed("Fake/1")) }
}

fn asked() -> Asked {
    let Opening { root, .. } = opening(true);
    Asked { id: RequestId::Number(1), root, selector: Selector::everything(), extensions: Extensions::new() }
}
