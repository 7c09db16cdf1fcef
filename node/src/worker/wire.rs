//! What a worker and the process that does a job say to each other, over that process's standard input and output.
//!
//! Each message is a line of JSON; one that carries bytes gives their number in `bytes`, and they follow the line. The process is
//! handed one [`Assignment`], after which its input stays open: `stop` asks it to end at a safe point, and an input that ends means
//! that the worker is gone. It answers with any number of [`Said`], the last of which is a result.

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use filecash_engine::sector::Profile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::jobs::Kind;

/// The line that asks a process to stop.
pub const STOP: &str = "stop";
/// The longest line.
const LINE_BYTES: u64 = 1 << 20;
/// The most bytes that a message carries.
const MOST_BYTES: u64 = 1 << 30;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The network.
    pub profile: Profile,
    /// What is computed.
    pub kind: Kind,
    /// Name of the registered proof.
    pub proof: String,
    /// The job's task.
    pub task: String,
    /// Where the storage of its files is here.
    pub storage: Option<PathBuf>,
    /// Where a proven sector goes, if it goes elsewhere.
    pub keep_in: Option<PathBuf>,
    /// Everywhere where an earlier attempt may have brought it.
    pub stores: Vec<PathBuf>,
    /// How politely it takes processor time: 0 to 19.
    pub niceness: i32,
    /// Its input's bytes, which follow, and then those of what an earlier attempt kept.
    pub bytes: [u64; 2],
}

/// What a process says of its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// A stage begins.
    Stage {
        /// What it does.
        name: String,
        /// What it counts.
        unit: String,
        /// Of how many.
        total: u64,
    },
    /// So many of its units are done.
    At {
        /// How many.
        done: u64,
    },
    /// What computes.
    Device {
        /// Its name.
        name: String,
    },
    /// What is to be handed to the next attempt should this one end; the bytes follow.
    Keep {
        /// How many.
        bytes: u64,
    },
    /// The job is done; its output follows.
    Done {
        /// How many bytes.
        bytes: u64,
    },
    /// It is not.
    Failed {
        /// Why.
        reason: String,
        /// Whether another attempt may do better.
        again: bool,
    },
    /// It was asked to stop, and has.
    Stopped,
}

impl Said {
    fn bytes(&self) -> u64 {
        match self {
            Self::Keep { bytes } | Self::Done { bytes } => *bytes,
            _ => 0,
        }
    }
}

impl Assignment {
    /// Writes it with its bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(mut self, sink: &mut impl Write, input: &[u8], kept: &[u8]) -> io::Result<()> {
        self.bytes = [input.len() as u64, kept.len() as u64];
        write_line(sink, &self)?;
        sink.write_all(input)?;
        sink.write_all(kept)?;
        sink.flush()
    }

    /// Reads it with its bytes.
    ///
    /// # Errors
    /// What the system says; a line that is none.
    pub fn read(source: &mut impl BufRead) -> io::Result<(Self, Vec<u8>, Vec<u8>)> {
        let assignment: Self = read_line(source)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let [input, kept] = assignment.bytes;
        let (input, kept) = (read_bytes(source, input)?, read_bytes(source, kept)?);
        Ok((assignment, input, kept))
    }
}

impl Said {
    /// Writes it with its bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, sink: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        debug_assert_eq!(self.bytes(), bytes.len() as u64);
        write_line(sink, self)?;
        sink.write_all(bytes)?;
        sink.flush()
    }

    /// Reads the next one with its bytes; `None` at the end.
    ///
    /// # Errors
    /// What the system says; a line that is none.
    pub fn read(source: &mut impl BufRead) -> io::Result<Option<(Self, Vec<u8>)>> {
        let Some(said) = read_line::<Self>(source)? else { return Ok(None) };
        let bytes = read_bytes(source, said.bytes())?;
        Ok(Some((said, bytes)))
    }
}

fn write_line(sink: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    sink.write_all(&line)
}

fn read_line<T: DeserializeOwned>(source: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if source.take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

fn read_bytes(source: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    if length > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut bytes = Vec::new();
    if source.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_their_bytes() {
        let assignment = Assignment {
            profile: Profile::Filecash,
            kind: Kind::C2,
            proof: "StackedDrg4GiBV1".to_owned(),
            task: "{\"sector\":\n1}".to_owned(),
            storage: Some("/a b".into()),
            keep_in: None,
            stores: vec!["/hdd".into()],
            niceness: 15,
            bytes: [0; 2],
        };
        let mut wire = Vec::new();
        assignment.clone().write(&mut wire, b"in\nput", b"kept").unwrap();
        let (read, input, kept) = Assignment::read(&mut &wire[..]).unwrap();
        assert_eq!(
            (read, &input[..], &kept[..]),
            (Assignment { bytes: [6, 4], ..assignment }, &b"in\nput"[..], &b"kept"[..])
        );
        for cut in 0..wire.len() {
            assert!(Assignment::read(&mut &wire[..cut]).is_err(), "{cut}");
        }

        let mut wire = Vec::new();
        let said = [(Said::At { done: 3 }, &b""[..]), (Said::Done { bytes: 5 }, b"proof"), (Said::Stopped, b"")];
        said.iter().for_each(|(said, bytes)| said.write(&mut wire, bytes).unwrap());
        let mut source = &wire[..];
        for (expected, bytes) in said {
            assert_eq!(Said::read(&mut source).unwrap(), Some((expected, bytes.to_vec())));
        }
        assert_eq!(Said::read(&mut source).unwrap(), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in
            ["", "\n", "{}\n", "{\"said\":\"sung\"}\n", "{\"said\":\"done\",\"bytes\":99999999999}\n", "stopped\n"]
        {
            let read = Said::read(&mut line.as_bytes());
            assert!(read.is_err() || line.is_empty() && read.unwrap().is_none(), "{line}");
        }
        let endless = "x".repeat(3 << 20);
        assert!(Said::read(&mut endless.as_bytes()).is_err());
    }
}
