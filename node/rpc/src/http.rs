//! Requests over HTTP: POST with a call or a batch, GET for a socket.
//!
//! A token comes in the head (`Authorization: Bearer`) or in the address (`?token=`). Pages of other origins are turned away unless they are
//! named: a browser on this machine would otherwise let any page call.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Query, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use tokio::time::timeout;

use crate::call::{Answer, Call, Fault, Request, response};
use crate::limits::{ANSWER_BYTES, BODY, REQUEST_BYTES};
use crate::node::{Caller, Node};
use crate::socket;

/// Of a request's address.
#[derive(Deserialize)]
struct Asked {
    token: Option<String>,
}

#[derive(Clone)]
struct Door {
    node: Arc<Node>,
    version: u8,
}

/// What answers at both paths.
pub fn router(node: &Arc<Node>) -> Router {
    let door = |version| {
        let door = Door { node: Arc::clone(node), version };
        post(answer).get(open).options(preflight).with_state(door)
    };
    Router::new().route("/rpc/v0", door(0)).route("/rpc/v1", door(1))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl Door {
    /// Who calls, and the origin that it may be told it is of.
    fn admit(&self, headers: &HeaderMap, asked: &Asked) -> Result<(Caller, Option<HeaderValue>), Box<Response>> {
        let origin = self.origin(headers)?;
        let token = bearer(headers).or(asked.token.as_deref()).filter(|token| !token.is_empty());
        match self.node.caller(token, self.version) {
            Some(caller) => Ok((caller, origin)),
            None => {
                let why = if token.is_some() { "the token is not of this node\n" } else { "a token is asked for\n" };
                Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], why).into_response().into())
            }
        }
    }

    fn origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Box<Response>> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(None) };
        match self.node.access.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
            true => Ok(Some(origin.clone())),
            false => Err((StatusCode::FORBIDDEN, "pages of this origin may not call\n").into_response().into()),
        }
    }
}

fn with_origin(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// A browser asks whether it may.
async fn preflight(State(door): State<Door>, headers: HeaderMap) -> Response {
    match door.origin(&headers) {
        Err(refused) => *refused,
        Ok(origin) => {
            let headers = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type"),
            ];
            with_origin((StatusCode::NO_CONTENT, headers).into_response(), origin)
        }
    }
}

async fn open(
    State(door): State<Door>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return (StatusCode::METHOD_NOT_ALLOWED, "calls are posted, or sent over a WebSocket\n").into_response();
    };
    let (caller, _) = match door.admit(&headers, &asked) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let Ok(place) = Arc::clone(&door.node.sockets).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "there are too many sockets\n").into_response();
    };
    let upgrade = upgrade.max_message_size(REQUEST_BYTES).max_frame_size(REQUEST_BYTES);
    upgrade.on_upgrade(move |socket| async move {
        socket::serve(socket, door.node, caller).await;
        drop(place);
    })
}

async fn answer(
    State(door): State<Door>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    request: HttpRequest<Body>,
) -> Response {
    let (caller, origin) = match door.admit(&headers, &asked) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let response = match timeout(BODY, to_bytes(request.into_body(), REQUEST_BYTES)).await {
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
        Ok(Err(_)) => {
            let fault = Fault::Request("the request has more than 1 MiB, or was cut off");
            json(StatusCode::PAYLOAD_TOO_LARGE, response(None, &Err(fault)))
        }
        Ok(Ok(text)) => answer_text(&door.node, &caller, &text).await,
    };
    with_origin(response, origin)
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn answer_text(node: &Arc<Node>, caller: &Caller, text: &[u8]) -> Response {
    let (status, text) = respond(node, caller, text).await;
    json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text)
}

/// The status and the text that answer a text.
pub async fn respond(node: &Arc<Node>, caller: &Caller, text: &[u8]) -> (u16, String) {
    let status = |answer: &Answer| answer.as_ref().map_or_else(Fault::status, |_| 200);
    match Request::parse(text) {
        Err(fault) => (fault.status(), response(None, &Err(fault))),
        Ok(Request::One(call)) => {
            let answer = node.call(&call, caller).await;
            // Who gives no id has no use for an answer.
            (status(&answer), call.id.map_or_else(String::new, |id| response(Some(id), &answer)))
        }
        Ok(Request::Batch(calls)) => (200, batch(node, caller, calls).await),
    }
}

/// One after the other, as long as all answers together are not too many bytes.
async fn batch(node: &Arc<Node>, caller: &Caller, calls: Vec<Result<Call<'_>, Fault>>) -> String {
    let (mut answers, mut bytes) = (Vec::new(), 0);
    for call in calls {
        let (id, answer) = match call {
            Err(fault) => (None, Err(fault)),
            Ok(call) if bytes > ANSWER_BYTES => (call.id, Err(Fault::TooLarge)),
            Ok(call) => {
                let answer = node.call(&call, caller).await;
                if call.id.is_none() {
                    continue;
                }
                (call.id, answer)
            }
        };
        let text = response(id, &answer);
        bytes += text.len();
        answers.push(text);
    }
    if answers.is_empty() { String::new() } else { format!("[{}]", answers.join(",")) }
}
