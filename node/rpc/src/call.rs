//! Requests and answers as text: JSON-RPC 2.0, as Lotus speaks it.
//!
//! | Fault | Code | Status of HTTP |
//! |---|---|---|
//! | no JSON, or a parameter that is none of its kind | −32700 | 500 |
//! | no request | −32600 | 400 |
//! | no such method | −32601 | 500 |
//! | another number of parameters | −32602 | 500 |
//! | everything else | 1 | 200 |
//!
//! An id comes back as it came. Who gives none, or null, is answered nothing. Members that are not known, such as `meta`, are passed over.
//!
//! Source: `spec/attach.md` B.3.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::{ANSWER_BYTES, BATCH, ID_BYTES};

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Fault {
    #[error("this is no JSON")]
    Json,
    #[error("{0}")]
    Request(&'static str),
    #[error("method '{0}' not found")]
    Method(String),
    #[error("method '{0}' not supported in this mode (no out channel support)")]
    Mode(&'static str),
    #[error("wrong param count (method '{method}'): {found} != {expected}")]
    Count { method: &'static str, expected: usize, found: usize },
    #[error("parameter {place}: {reason}")]
    Param { place: usize, reason: String },
    #[error("missing permission to invoke '{method}' (need '{level}')")]
    Denied { method: &'static str, level: &'static str },
    #[error("{0}")]
    Failed(String),
    #[error("the answer took too long")]
    TooLong,
    #[error("the answer has more than {ANSWER_BYTES} bytes")]
    TooLarge,
}

impl Fault {
    /// Something that is told in words.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let (mut text, mut cause) = (error.to_string(), error.source());
        while let Some(error) = cause {
            let more = error.to_string();
            // Some errors say what their cause says.
            if !text.ends_with(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        Self::Failed(text)
    }

    /// Its number.
    pub fn code(&self) -> i64 {
        match self {
            Self::Json | Self::Param { .. } => -32700,
            Self::Request(_) => -32600,
            Self::Method(_) | Self::Mode(_) => -32601,
            Self::Count { .. } => -32602,
            Self::Denied { .. } | Self::Failed(_) | Self::TooLong | Self::TooLarge => 1,
        }
    }

    /// The status of HTTP that goes with it.
    pub fn status(&self) -> u16 {
        match self.code() {
            1 => 200,
            -32600 => 400,
            _ => 500,
        }
    }
}

/// A result as text, or why there is none.
pub type Answer = Result<Box<RawValue>, Fault>;

/// A call, within the text that it came in.
#[derive(Debug)]
pub struct Call<'a> {
    /// What its answer is known by.
    pub id: Option<&'a RawValue>,
    /// Its name.
    pub method: Cow<'a, str>,
    /// What it is called with.
    pub params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// What came.
#[derive(Debug)]
pub enum Request<'a> {
    /// A call.
    One(Call<'a>),
    /// Calls that are answered together, each that is none with why.
    Batch(Vec<Result<Call<'a>, Fault>>),
}

impl<'a> Request<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Fault::Json`], [`Fault::Request`].
    pub fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let text = text.trim_ascii();
        match text.first() {
            None => Err(Fault::Request("there is no request")),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_slice(text).map_err(|_| Fault::Json)?;
                match items.len() {
                    0 => Err(Fault::Request("there is no request in the batch")),
                    1..=BATCH => {
                        Ok(Self::Batch(items.into_iter().map(|item| Call::parse(item.get().as_bytes())).collect()))
                    }
                    _ => Err(Fault::Request("there are more than 64 requests in the batch")),
                }
            }
            Some(_) => Call::parse(text).map(Self::One),
        }
    }
}

impl<'a> Call<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, Fault> {
        let envelope: Envelope<'a> = serde_json::from_slice(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::Request("a request is an object with a method"),
            _ => Fault::Json,
        })?;
        let method = envelope.method.ok_or(Fault::Request("a request has a method"))?;
        if envelope.id.is_some_and(|id| id.get().len() > ID_BYTES) {
            return Err(Fault::Request("the id is longer than 256 bytes"));
        }
        Ok(Self { id: envelope.id, method, params: envelope.params })
    }
}

/// The parameters of a call, by their places.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<Box<RawValue>>);

impl Params {
    /// Takes as many as a method has.
    ///
    /// # Errors
    /// [`Fault`] for another number, or for what is no list.
    pub fn of(method: &'static str, expected: usize, params: Option<&RawValue>) -> Result<Self, Fault> {
        let list = params.map_or(Ok(None), |params| serde_json::from_str::<Option<Vec<&RawValue>>>(params.get()));
        let reason = || "parameters are a list, in their order".to_owned();
        let list = list.map_err(|_| Fault::Param { place: 0, reason: reason() })?.unwrap_or_default();
        match list.len() == expected {
            true => Ok(Self(list.into_iter().map(RawValue::to_owned).collect())),
            false => Err(Fault::Count { method, expected, found: list.len() }),
        }
    }

    /// The one at a place.
    ///
    /// # Errors
    /// [`Fault::Param`].
    pub fn get<T: DeserializeOwned>(&self, place: usize) -> Result<T, Fault> {
        let text = self.0.get(place).map_or("null", |value| value.get());
        serde_json::from_str(text).map_err(|error| Fault::Param { place, reason: error.to_string() })
    }
}

/// A result as text.
///
/// # Errors
/// [`Fault::TooLarge`].
pub fn result(value: &impl Serialize) -> Answer {
    let mut text = Limited(Vec::new());
    match serde_json::to_writer(&mut text, value) {
        Err(error) if error.is_io() => return Err(Fault::TooLarge),
        Err(error) => return Err(Fault::of(&error)),
        Ok(()) => {}
    }
    let text = String::from_utf8(text.0).map_err(|error| Fault::of(&error))?;
    RawValue::from_string(text).map_err(|error| Fault::of(&error))
}

/// Takes so many bytes and no more.
struct Limited(Vec<u8>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ANSWER_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of an answer.
pub fn response(id: Option<&RawValue>, answer: &Answer) -> String {
    let id = id.map_or("null", RawValue::get);
    match answer {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","result":{},"id":{id}}}"#, result.get()),
        Err(fault) => {
            let message = serde_json::Value::String(fault.to_string());
            format!(r#"{{"jsonrpc":"2.0","error":{{"code":{},"message":{message}}},"id":{id}}}"#, fault.code())
        }
    }
}

/// The text of what is told without being asked.
pub fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<(String, String, String), String> {
        match Request::parse(text.as_bytes()) {
            Ok(Request::One(call)) => {
                let text = |value: Option<&RawValue>| value.map_or("-", RawValue::get).to_owned();
                Ok((call.method.to_string(), text(call.params), text(call.id)))
            }
            Ok(Request::Batch(_)) => Err("a batch".to_owned()),
            Err(fault) => Err(format!("{} {fault}", fault.code())),
        }
    }

    #[test]
    fn requests_are_read_whatever_their_ids() {
        let call = |params: &str, id: &str| Ok(("M".to_owned(), params.to_owned(), id.to_owned()));
        assert_eq!(one(r#" {"jsonrpc":"2.0","method":"M","params":[1,{}],"id":7} "#), call("[1,{}]", "7"));
        assert_eq!(one(r#"{"id":"a\nb","method":"M","meta":{"SpanContext":"x"}}"#), call("-", r#""a\nb""#));
        assert_eq!(one(r#"{"id":1.5e3,"method":"\u004d","params":null}"#), call("-", "1.5e3"));
        assert_eq!(one(r#"{"id":{"x":[1]},"method":"M","params":{}}"#), call("{}", r#"{"x":[1]}"#));
        assert_eq!(one(r#"{"id":null,"method":"M"}"#), call("-", "-"));
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        for (text, expected) in [
            ("", "-32600 there is no request"),
            ("[]", "-32600 there is no request in the batch"),
            ("{", "-32700 this is no JSON"),
            ("[1", "-32700 this is no JSON"),
            ("7", "-32600 a request is an object with a method"),
            ("{}", "-32600 a request has a method"),
            (r#"{"method":7}"#, "-32600 a request is an object with a method"),
            (r#"{"method":"M"} x"#, "-32700 this is no JSON"),
        ] {
            assert_eq!(one(text), Err(expected.to_owned()), "{text}");
        }
        let long = format!(r#"{{"method":"M","id":"{}"}}"#, "x".repeat(ID_BYTES));
        assert_eq!(one(&long), Err("-32600 the id is longer than 256 bytes".to_owned()));
        let deep = format!(r#"{{"method":"M","params":{}"#, "[".repeat(100_000));
        assert_eq!(one(&deep), Err("-32700 this is no JSON".to_owned()));
        let many = format!("[{}1]", "1,".repeat(BATCH));
        assert!(one(&many).unwrap_err().contains("more than 64"));
        let Ok(Request::Batch(calls)) = Request::parse(br#"[{"method":"M","id":1},7,{"id":2}]"#) else { panic!() };
        assert_eq!(calls.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn parameters_are_counted_and_read_by_their_places() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let of = |text: &str, count| Params::of("M", count, Some(&raw(text)));
        assert_eq!(of(r#"[1,"x",null]"#, 3).unwrap().get::<String>(1).unwrap(), "x");
        assert_eq!(of("null", 0).unwrap().0.len() + Params::of("M", 0, None).unwrap().0.len(), 0);
        assert_eq!(of("[1]", 0).unwrap_err(), Fault::Count { method: "M", expected: 0, found: 1 });
        assert_eq!(of("{}", 0).unwrap_err().code(), -32700);
        let fault = of("[1]", 1).unwrap().get::<String>(0).unwrap_err();
        assert!(fault.to_string().starts_with("parameter 0: invalid type"), "{fault}");
    }

    #[test]
    fn answers_are_those_of_lotus() {
        let id = RawValue::from_string("\"é\"".to_owned()).unwrap();
        let told = response(Some(&id), &result(&[1, 2]));
        assert_eq!(told, r#"{"jsonrpc":"2.0","result":[1,2],"id":"é"}"#);
        let told = response(None, &Err(Fault::Failed("a \"b\"\n".to_owned())));
        assert_eq!(told, r#"{"jsonrpc":"2.0","error":{"code":1,"message":"a \"b\"\n"},"id":null}"#);
        assert_eq!(Fault::Method("Filecoin.X".to_owned()).to_string(), "method 'Filecoin.X' not found");
        assert_eq!(result(&"x".repeat(ANSWER_BYTES)).unwrap_err(), Fault::TooLarge);
    }
}
