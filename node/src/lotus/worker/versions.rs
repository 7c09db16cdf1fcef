//! Which dialect a miner speaks, from what it says of itself.
//!
//! Source: `spec/attach.md` B.4.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A version of an API: major, minor, patch, a byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion(pub u32);

const fn version(major: u32, minor: u32, patch: u32) -> ApiVersion {
    ApiVersion(major << 16 | minor << 8 | patch)
}

impl ApiVersion {
    fn minor(self) -> u32 {
        self.0 >> 8
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, major, minor, patch] = self.0.to_be_bytes();
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl FromStr for ApiVersion {
    type Err = String;

    /// `1.7.0` or `1.7`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no version such as 1.7.0");
        let parts: Vec<u32> = text
            .split('.')
            .map(|part| part.parse::<u8>().map(u32::from))
            .collect::<Result<_, _>>()
            .map_err(|_| bad())?;
        match parts[..] {
            [major, minor] => Ok(version(major, minor, 0)),
            [major, minor, patch] => Ok(version(major, minor, patch)),
            _ => Err(bad()),
        }
    }
}

/// What a miner says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MinerVersion {
    /// Its release.
    #[serde(rename = "Version")]
    pub release: String,
    /// Its API's version.
    #[serde(rename = "APIVersion")]
    pub api: u32,
}

/// From which release on, with which API of miners, which API of workers is spoken; newest first.
const SPOKEN: [((u32, u32, u32), ApiVersion, ApiVersion); 9] = [
    ((1, 20, 0), version(1, 5, 0), version(1, 7, 0)),
    ((1, 15, 1), version(1, 5, 0), version(1, 6, 0)),
    ((1, 15, 0), version(1, 4, 0), version(1, 5, 0)),
    ((1, 14, 0), version(1, 3, 0), version(1, 5, 0)),
    ((1, 13, 2), version(1, 2, 0), version(1, 5, 0)),
    ((1, 11, 1), version(1, 2, 0), version(1, 1, 0)),
    ((1, 11, 0), version(1, 1, 0), version(1, 1, 0)),
    ((1, 5, 0), version(1, 0, 1), version(1, 0, 0)),
    ((0, 0, 0), version(1, 0, 0), version(1, 0, 0)),
];

impl MinerVersion {
    /// The version of workers that goes with it, and whether its two numbers go together as far as we know.
    pub fn worker(&self) -> (ApiVersion, bool) {
        let newest = (SPOKEN[0].2, false);
        let is_of_api = |api: ApiVersion| api.minor() == ApiVersion(self.api).minor();
        let row = match self.release() {
            Some(release) => SPOKEN.iter().find(|(since, ..)| release >= *since),
            None => SPOKEN.iter().find(|(_, api, _)| is_of_api(*api)),
        };
        row.map_or(newest, |(_, api, worker)| (*worker, is_of_api(*api)))
    }

    /// `1.36.1+mainnet` is 1, 36, 1.
    fn release(&self) -> Option<(u32, u32, u32)> {
        let end = self.release.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let mut parts = self.release[..end.unwrap_or(self.release.len())].split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??, parts.next()??))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_version_goes_with_the_miners() {
        let of = |release: &str, api: u32| {
            let (worker, goes) = MinerVersion { release: release.to_owned(), api }.worker();
            (worker.0, goes)
        };
        assert_eq!(of("1.36.1+mainnet+git.0123", 66816), (67328, true));
        assert_eq!(of("1.20.0", 66816), (67328, true));
        assert_eq!(of("1.19.0+calibnet", 66816), (67072, true));
        assert_eq!(of("1.15.0", 66560), (66816, true));
        assert_eq!(of("1.13.1", 66048), (65792, true));
        assert_eq!(of("1.13.2-rc1", 66048), (66816, true));
        assert_eq!(of("1.11.0", 65792), (65792, true));
        assert_eq!(of("1.5.0", 65537), (65536, true));
        // What cannot be read is told by the API alone.
        assert_eq!(of("filecash", 65537), (65536, true));
        assert_eq!(of("", 66048), (66816, true));
        assert_eq!(of("v2", 131_072), (67328, false));
        assert_eq!(of("1.36.1", 65537), (67328, false));
    }

    #[test]
    fn versions_parse_and_print() {
        assert_eq!("1.7.0".parse(), Ok(ApiVersion(67328)));
        assert_eq!("1.7".parse::<ApiVersion>().unwrap().to_string(), "1.7.0");
        for text in ["", "1", "1.2.3.4", "1.x", "1.256", "-1.0"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
