//! Calling a node that runs.

use std::time::Duration;

use anyhow::Context as _;
use filecash_node::lotus::MinerApi;
use serde_json::{Value, json};

use crate::report::{Failure, Kind};

/// How long an answer may take, and how long it may be.
const PATIENCE: Duration = Duration::from_secs(90);
const MAX_BYTES: u64 = 16 << 20;

/// A node that is called.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

impl Client {
    /// Where and as whom is said in Lotus's way.
    pub fn new(api: &str) -> anyhow::Result<Self> {
        let api: MinerApi = api.parse().map_err(|error| Failure::new(Kind::Usage, format!("--api: {error}")))?;
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        Ok(Self {
            agent: config.into(),
            url: format!("{}/rpc/v0", api.base),
            authorization: api.token.map(|token| format!("Bearer {token}")),
        })
    }

    /// The result of a method.
    pub fn call(&self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let call = json!({ "jsonrpc": "2.0", "method": format!("Filecoin.{method}"), "params": params, "id": 1 });
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send(call.to_string());
        let mut answer = answer.with_context(|| format!("the node at {} does not answer", self.url))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MAX_BYTES).read_to_string();
        let text = text.with_context(|| format!("the answer of the node at {}", self.url))?;
        let refused = |message: &str| Failure::new(Kind::Input, format!("{method}: {message}"));
        let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
            return Err(refused(&format!("the node at {} answers with status {status}", self.url)).into());
        };
        match value["error"]["message"].as_str() {
            Some(message) => Err(refused(message).into()),
            None => Ok(value["result"].take()),
        }
    }
}
