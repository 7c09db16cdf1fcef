//! JSON-RPC 2.0 as Lotus speaks it: what comes in, and calls that go out.
//!
//! Source: `spec/attach.md` B.3.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::address::MinerApi;

/// What names of methods begin with.
const NAMESPACE: &str = "Filecoin.";
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The most calls of one request.
const MOST_CALLS: usize = 1000;
/// The longest answer of a miner.
const ANSWER_BYTES: u64 = 4 << 20;

/// Why a call gets no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The method says so.
    Refused(String),
    /// There is no such method.
    NoMethod(String),
    /// Its parameters are none.
    Params(String),
}

impl Fault {
    fn json(&self) -> (i64, String) {
        match self {
            Self::Refused(message) => (1, message.clone()),
            Self::NoMethod(name) => (-32601, format!("method '{name}' not found")),
            Self::Params(message) => (-32602, message.clone()),
        }
    }
}

/// One call that came in.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Answers a body, one call or several: status and text. `serve` is given a method's name without the namespace and its parameters.
pub fn answer(body: &[u8], serve: impl Fn(&str, &[&RawValue]) -> Result<Value, Fault>) -> (u16, String) {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'[') {
        return answer_one(body, &serve).unwrap_or((200, String::new()));
    }
    let Ok(calls) = serde_json::from_slice::<Vec<&RawValue>>(body) else { return parse_error() };
    if calls.is_empty() || calls.len() > MOST_CALLS {
        return invalid("an empty batch, or too long a one");
    }
    let answers = calls.iter().filter_map(|call| answer_one(call.get().as_bytes(), &serve));
    let answers: Vec<String> = answers.map(|(_, text)| text).collect();
    (200, format!("[{}]", answers.join(",")))
}

fn answer_one(body: &[u8], serve: &impl Fn(&str, &[&RawValue]) -> Result<Value, Fault>) -> Option<(u16, String)> {
    let request: Request<'_> = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) if error.is_data() => return Some(invalid(&error.to_string())),
        Err(_) => return Some(parse_error()),
    };
    let outcome = params(request.params).and_then(|params| {
        let name = request.method.strip_prefix(NAMESPACE).or_else(|| {
            // Its other name.
            (request.method == "rpc.discover").then_some("Discover")
        });
        match name {
            Some(name) => serve(name, &params),
            None => Err(Fault::NoMethod(request.method.to_string())),
        }
    });
    // Who names no id wants no answer.
    let id = request.id?;
    let named = |rest: Value| {
        let Value::Object(mut all) = rest else { return String::new() };
        all.insert("jsonrpc".to_owned(), "2.0".into());
        let mut text = Value::Object(all).to_string();
        text.pop();
        format!("{text},\"id\":{}}}", id.get())
    };
    Some(match outcome {
        Ok(result) => (200, named(json!({ "result": result }))),
        Err(fault) => {
            let (code, message) = fault.json();
            let status = if code == 1 { 200 } else { 500 };
            (status, named(json!({ "error": { "code": code, "message": message } })))
        }
    })
}

/// The parameters in their order; none is as good as an empty list.
fn params(params: Option<&RawValue>) -> Result<Vec<&RawValue>, Fault> {
    let Some(params) = params else { return Ok(Vec::new()) };
    let list: Option<Vec<&RawValue>> = serde_json::from_str(params.get())
        .map_err(|_| Fault::Params("parameters are to be a list, in their order".to_owned()))?;
    Ok(list.unwrap_or_default())
}

fn without_id(status: u16, code: i64, message: &str) -> (u16, String) {
    let error = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message }, "id": null });
    (status, error.to_string())
}

fn parse_error() -> (u16, String) {
    without_id(500, -32700, "this is no JSON")
}

fn invalid(message: &str) -> (u16, String) {
    without_id(400, -32600, message)
}

/// A parameter by its place.
pub fn parameter<'a, T: Deserialize<'a>>(params: &[&'a RawValue], place: usize) -> Result<T, Fault> {
    let text = params.get(place).map_or("null", |value| value.get());
    serde_json::from_str(text).map_err(|error| Fault::Params(format!("parameter {place}: {error}")))
}

/// Why a miner gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum CallError {
    #[error("{address} is not reached: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("the miner knows no such token")]
    Token,
    #[error("the miner answers {method} with status {status}")]
    Status { method: String, status: u16 },
    #[error("the miner refuses {method}: {message}")]
    Refused { method: String, message: String },
    #[error("the miner's answer to {method} is none: {reason}")]
    Answer { method: String, reason: String },
}

/// A miner to be called.
pub struct Miner {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
    calls: AtomicU64,
}

#[derive(Deserialize)]
struct Answered<T> {
    #[serde(default = "Option::default")]
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Miner {
    /// A miner at an address; nothing is asked yet.
    pub fn new(api: &MinerApi) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .user_agent(concat!("filecash/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            url: format!("{}/rpc/v0", api.base),
            authorization: api.token.as_ref().map(|token| format!("Bearer {token}")),
            calls: AtomicU64::new(1),
        }
    }

    /// Calls a method that has nothing to say.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn tell(&self, name: &str, params: &Value, limit: Duration) -> Result<(), CallError> {
        self.call::<Option<Value>>(name, params, limit).map(drop)
    }

    /// Calls a method, for so long; `null` is no result unless `T` says otherwise.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call<T: DeserializeOwned>(&self, name: &str, params: &Value, limit: Duration) -> Result<T, CallError> {
        let method = || name.to_owned();
        let unreachable = |error: ureq::Error| {
            let address = self.url.trim_end_matches("/rpc/v0").to_owned();
            CallError::Unreachable { address, reason: error.to_string() }
        };
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let call = json!({ "jsonrpc": "2.0", "method": format!("{NAMESPACE}{name}"), "params": params, "id": id });
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.config().timeout_global(Some(limit)).build();
        let mut response = request.send(call.to_string()).map_err(unreachable)?;
        let status = response.status().as_u16();
        match status {
            200 | 500 => {}
            401 => return Err(CallError::Token),
            _ => return Err(CallError::Status { method: method(), status }),
        }
        let text = response.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec().map_err(unreachable)?;
        let answered: Answered<T> = serde_json::from_slice(&text)
            .map_err(|error| CallError::Answer { method: method(), reason: error.to_string() })?;
        match (answered.error, answered.result) {
            (Some(refusal), _) => Err(CallError::Refused { method: method(), message: refusal.message }),
            (None, Some(result)) => Ok(result),
            // Where nothing is what there is to say.
            (None, None) => serde_json::from_str("null")
                .map_err(|_| CallError::Answer { method: method(), reason: "there is no result".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: &str) -> (u16, Value) {
        let (status, text) = answer(body.as_bytes(), |name, params| match name {
            "Add" => Ok(json!(parameter::<u64>(params, 0)? + parameter::<u64>(params, 1)?)),
            "Nothing" => Ok(Value::Null),
            "No" => Err(Fault::Refused("no".to_owned())),
            name => Err(Fault::NoMethod(name.to_owned())),
        });
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    #[test]
    fn calls_are_answered_as_lotus_reads_them() {
        let call = r#"{"jsonrpc": "2.0", "method": "Filecoin.Add", "params": [2, 3], "id": 7, "meta": {"x": "y"}}"#;
        assert_eq!(ask(call), (200, json!({ "jsonrpc": "2.0", "result": 5, "id": 7 })));
        let nothing = r#"{"jsonrpc":"2.0","method":"Filecoin.Nothing","params":null,"id":"a"}"#;
        assert_eq!(ask(nothing), (200, json!({ "jsonrpc": "2.0", "result": null, "id": "a" })));
        assert_eq!(ask(r#"{"method":"Filecoin.Nothing"}"#), (200, Value::Null));
        let no = ask(r#"{"method":"Filecoin.No","id":1}"#);
        assert_eq!((no.0, &no.1["error"]), (200, &json!({ "code": 1, "message": "no" })));
    }

    #[test]
    fn faults_have_their_codes_and_statuses() {
        let of = |body: &str| {
            let (status, answer) = ask(body);
            (status, answer["error"]["code"].as_i64().unwrap())
        };
        assert_eq!(of(r#"{"method":"Filecoin.Other","id":1}"#), (500, -32601));
        assert_eq!(of(r#"{"method":"Add","id":1}"#), (500, -32601));
        for params in ["[1]", "[1,\"2\"]", "[1,-2]", "{\"a\":1}", "7"] {
            assert_eq!(of(&format!(r#"{{"method":"Filecoin.Add","params":{params},"id":1}}"#)), (500, -32602));
        }
        for text in ["", "{", "\u{1}", "[1", "[{]"] {
            assert_eq!(of(text), (500, -32700), "{text}");
        }
        for text in ["{}", "7", "\"x\"", "[]", r#"{"method":7,"id":1}"#] {
            assert_eq!(of(text), (400, -32600), "{text}");
        }
    }

    #[test]
    fn batches_are_answered_together() {
        let (status, answer) =
            ask(r#" [{"method":"Filecoin.Add","params":[1,1],"id":1}, {"method":"Filecoin.Nothing"}, 7]"#);
        assert_eq!(status, 200);
        assert_eq!(ask(&format!("[{}7]", "7,".repeat(MOST_CALLS))).0, 400);
        let answers = answer.as_array().unwrap();
        assert_eq!(
            (answers.len(), &answers[0]["result"], &answers[1]["error"]["code"]),
            (2, &2.into(), &(-32600).into())
        );
    }
}
