//! The heads of answers.
//!
//! | Header | |
//! |---|---|
//! | `Content-Type` | the media type with all parameters that are known |
//! | `Content-Disposition` | `attachment`, and the name that the client wants, or the CID with an ending |
//! | `Etag` | of a block `"CID.raw"`, of a piece `"CID.piece"`, also where a part is sent, as RFC 9110 has it; of a CAR [`car_etag`] |
//! | `Cache-Control` | for ever; of refusals not at all |
//! | `X-Ipfs-Path`, `X-Ipfs-Roots` | the path that was asked for, and what each name of it leads to |
//! | `Content-Location` | the address that says what `Accept` said, where that said something |
//!
//! Source: the trustless and path gateway specifications, "Response Headers"; RFC 9110; RFC 6266 and 8187 for names.

use std::sync::Arc;

use filecash_ipld::Cid;
use filecash_ipld::hash::HashKind;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::body::Answer;
use crate::bytes::{Part, Span};
use crate::metrics::{Counters, Kind};
use crate::refusal::{RETRY_AFTER, Refusal};
use crate::request::{AskedCar, Scope};

/// Nothing under a CID ever changes.
const FOR_EVER: &str = "public, max-age=29030400, immutable";
/// The longest list of roots that is told.
const MOST_ROOTS_BYTES: usize = 2 << 10;
const X_IPFS_PATH: HeaderName = HeaderName::from_static("x-ipfs-path");
const X_IPFS_ROOTS: HeaderName = HeaderName::from_static("x-ipfs-roots");
/// What stands in the name of a download as it is, by RFC 8187.
const IN_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All values of a header that is a list.
pub fn listed(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.map(str::to_owned).reduce(|all, value| format!("{all},{value}"))
}

/// A value of a header. Addresses may be of other characters than ASCII.
///
/// # Errors
/// Where it has characters that no header has.
pub fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Refusal::Internal)
}

/// Those of everything that is given. Ranges are `bytes` or `none`.
///
/// # Errors
/// As [`value`].
pub fn headers(content_type: &str, filename: &str, ranges: &'static str) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, value(content_type)?);
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition(filename))?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static(ranges));
    Ok(headers)
}

/// Those of blocks and CARs.
///
/// # Errors
/// As [`value`].
pub fn about_ipfs(
    headers: &mut HeaderMap,
    address: &str,
    location: Option<&str>,
    roots: &[Cid],
) -> Result<(), Refusal> {
    let path = address.split_once('?').map_or(address, |(path, _)| path);
    headers.insert(X_IPFS_PATH, value(path)?);
    let roots = roots.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    // It may be left out, and clients take no heads without end.
    if roots.len() <= MOST_ROOTS_BYTES {
        headers.insert(X_IPFS_ROOTS, value(&roots)?);
    }
    if let Some(location) = location {
        headers.insert(header::CONTENT_LOCATION, value(location)?);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(())
}

/// `attachment`, and a name: what is not ASCII in the first as `_`, in the second as it is.
fn disposition(filename: &str) -> String {
    let plain = |character: char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\' | '%' | '/');
    let ascii: String = filename.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    match ascii == filename {
        true => format!("attachment; filename=\"{ascii}\""),
        false => {
            let encoded = utf8_percent_encode(filename, IN_NAME);
            format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
        }
    }
}

/// The tag of a CAR: scope, bytes, repetitions, root and a digest of the path. Its bytes are the same each time that this program is asked,
/// but another version or gateway may order them in another way, so it is a weak one.
///
/// ```text
/// W/"car.entity.0:9.n.bafy….0123456789abcdef"
/// ```
pub fn car_etag(asked: &AskedCar) -> String {
    let path = asked.path.iter().map(|name| format!("{}:{name}", name.len())).collect::<String>();
    let digest = HashKind::Sha256.multihash(path.as_bytes()).map_or(0, |hash| {
        let front = hash.digest().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(front)
    });
    let bytes = match asked.scope {
        Scope::Entity(Some(bytes)) => format!(".{bytes}"),
        _ => String::new(),
    };
    let dups = if asked.duplicates { "y" } else { "n" };
    format!("W/\"car.{}{bytes}.{dups}.{}.{digest:016x}\"", asked.scope.name(), asked.root)
}

/// The status for a part of so many bytes, and which they are; the headers that say so.
///
/// # Errors
/// [`Refusal::NoRange`].
pub fn part_of(headers: &mut HeaderMap, part: Part, length: u64) -> Result<(StatusCode, Option<Span>), Refusal> {
    let (status, span) = match part {
        Part::None => return Err(Refusal::NoRange { length }),
        Part::All => (StatusCode::OK, None),
        Part::Some(span) => {
            let range = format!("bytes {}-{}/{length}", span.first, span.last);
            headers.insert(header::CONTENT_RANGE, value(&range)?);
            (StatusCode::PARTIAL_CONTENT, Some(span))
        }
    };
    headers.insert(header::CONTENT_LENGTH, span.map_or(length, Span::length).into());
    Ok((status, span))
}

/// The answer that says why nothing is given.
pub fn refused(refusal: &Refusal, kind: Kind, is_head: bool, counters: &Arc<Counters>) -> Response<Answer> {
    let status = refusal.status();
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let source = std::error::Error::source(refusal).map(ToString::to_string);
        tracing::warn!(source, "{refusal}");
    }
    let text = format!("{refusal}\n");
    let mut response = Response::new(Answer::whole(if is_head { String::new() } else { text }, kind, counters));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match refusal {
        Refusal::Method(_) => drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
        Refusal::Busy => drop(headers.insert(header::RETRY_AFTER, RETRY_AFTER.into())),
        Refusal::NoRange { length } => {
            if let Ok(range) = value(&format!("bytes */{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
        }
        _ => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Asked;

    #[test]
    fn names_of_downloads_are_safe() {
        for (name, expected) in [
            ("a b.bin", "attachment; filename=\"a b.bin\""),
            (
                "testтест.pdf",
                "attachment; filename=\"test____.pdf\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.pdf",
            ),
            ("a\"\r\nX: y", "attachment; filename=\"a___X: y\"; filename*=UTF-8''a%22%0D%0AX%3A%20y"),
            ("../x%41", "attachment; filename=\".._x_41\"; filename*=UTF-8''..%2Fx%2541"),
        ] {
            assert_eq!(disposition(name), expected);
            assert!(headers("a/b", name, "none").is_ok());
        }
    }

    #[test]
    fn cars_that_differ_have_other_tags() {
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        let mut tags: Vec<_> = [
            "",
            "/a",
            "/b",
            "/a/b",
            "/ab",
            "/a%2Fb",
            "/1:a",
            "?dag-scope=block",
            "?dag-scope=entity",
            "?entity-bytes=0:*",
            "?entity-bytes=0:1",
            "?entity-bytes=0:-1",
            "?car-dups=y",
        ]
        .iter()
        .map(|rest| {
            let rest = if rest.contains('?') { format!("{rest}&format=car") } else { format!("{rest}?format=car") };
            match Asked::parse(&format!("/ipfs/{cid}{rest}"), None) {
                Ok(Asked::Car(car)) => car_etag(&car),
                other => panic!("{other:?}"),
            }
        })
        .collect();
        assert!(tags.iter().all(|tag| tag.starts_with("W/\"car.") && tag.contains(cid)), "{tags:?}");
        let count = tags.len();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), count);
    }
}
