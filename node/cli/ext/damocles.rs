//! `filecash ext damocles STAGE`: a processor of a Damocles (Venus) worker.
//!
//! The worker starts a processor as a child and hands it tasks, a line of JSON each; answers are lines too, in whatever order.
//! Ours takes one task after the other, since each uses the whole machine. Source: `spec/attach.md` B.16.

mod data;
mod post;
mod seal;
mod update;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::ext::Stage;
use crate::context::Context;
use crate::report::{Report, print, with_causes};

/// The longest line: C1's output for 64 GiB sectors takes about 50 MB.
const MOST_BYTES: u64 = 256 << 20;

#[derive(Deserialize)]
struct Request<'a> {
    id: u64,
    #[serde(borrow)]
    task: &'a RawValue,
}

#[derive(Serialize)]
struct Response {
    id: u64,
    err_msg: Option<String>,
    output: Option<Box<RawValue>>,
}

/// Answers tasks until standard input ends.
pub fn run(stage: Stage, context: &Context) -> anyhow::Result<Report> {
    let mut stdout = io::stdout();
    let lines = lines(context);
    writeln!(stdout, "{} processor ready", name(stage)).context("cannot write to standard output")?;
    for line in lines {
        let line = line.context("cannot read standard input")?;
        // Who does not say which task it is cannot be answered.
        let request: Request<'_> = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                print(
                    io::stderr(),
                    &format!("a line of {} bytes is no task and is passed over: {error}\n", line.len()),
                );
                continue;
            }
        };
        let outcome = process(stage, context, request.task);
        if context.is_cancelled() {
            break;
        }
        let (err_msg, output) = match outcome {
            Ok(output) => (None, Some(output)),
            Err(error) => (Some(with_causes(error.as_ref())), None),
        };
        let mut answer = serde_json::to_vec(&Response { id: request.id, err_msg, output })?;
        answer.push(b'\n');
        stdout.write_all(&answer).and_then(|()| stdout.flush()).context("cannot write to standard output")?;
    }
    Ok(Report::done(String::new(), json!({})))
}

/// The name by which a worker knows the stage.
fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::AddPieces => "add_pieces",
        Stage::TreeD => "tree_d",
        Stage::Pc1 => "pc1",
        Stage::Pc2 => "pc2",
        Stage::C2 => "c2",
        Stage::SnapEncode => "snap_encode",
        Stage::SnapProve => "snap_prove",
        Stage::WindowPost => "window_post",
        Stage::WinningPost => "winning_post",
        Stage::Unseal => "unseal",
    }
}

/// The lines of standard input. When it ends the worker is gone, and what is being computed stops.
fn lines(context: &Context) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let cancel = context.canceller();
    thread::spawn(move || {
        let mut input = BufReader::new(io::stdin());
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(MOST_BYTES).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => break,
                Ok(_) if line.last() != Some(&b'\n') && line.len() as u64 == MOST_BYTES => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "a line of more than 256 MiB"))
                }
                Ok(_) => Ok(line),
                Err(error) => Err(error),
            };
            let is_error = line.is_err();
            if sender.send(line).is_err() || is_error {
                return;
            }
        }
        cancel.cancel();
    });
    receiver
}

fn process(stage: Stage, context: &Context, task: &RawValue) -> anyhow::Result<Box<RawValue>> {
    match stage {
        Stage::AddPieces => data::add_pieces(context, parsed(task)?),
        Stage::TreeD => data::tree_d(context, &parsed(task)?),
        Stage::Pc1 => seal::pc1(context, parsed(task)?),
        Stage::Pc2 => seal::pc2(context, parsed(task)?),
        Stage::C2 => seal::c2(context, parsed(task)?),
        Stage::SnapEncode => update::snap_encode(context, &parsed(task)?),
        Stage::SnapProve => update::snap_prove(context, parsed(task)?),
        Stage::WindowPost => post::window_post(context, parsed(task)?),
        Stage::WinningPost => post::winning_post(context, parsed(task)?),
        Stage::Unseal => data::unseal(context, parsed(task)?),
    }
}

fn parsed<'a, T: Deserialize<'a>>(task: &'a RawValue) -> anyhow::Result<T> {
    serde_json::from_str(task.get()).context("the task is not of this stage")
}
