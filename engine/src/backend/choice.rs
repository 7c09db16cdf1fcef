//! Which devices a user wants.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Bytes of a GPU's memory that are used unless somebody says otherwise.
pub const DEFAULT_MAX_VRAM: u64 = 1 << 30;

/// Which devices are to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceChoice {
    /// Every GPU that can, and the CPU.
    #[default]
    Auto,
    /// The CPU alone.
    Cpu,
    /// Every GPU that can; software ones if there are no others.
    Gpu,
    /// Adapters by their number, or by a part of their name; `cpu` among them has the CPU help.
    These(Vec<String>),
}

/// A list of devices with an empty entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no device: say auto, cpu, gpu, or numbers and names of adapters with commas between")]
pub struct NoDeviceNamed(pub String);

impl FromStr for DeviceChoice {
    type Err = NoDeviceNamed;

    fn from_str(text: &str) -> Result<Self, NoDeviceNamed> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            _ if names.iter().any(String::is_empty) => Err(NoDeviceNamed(text.to_owned())),
            _ => Ok(Self::These(names)),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = NoDeviceNamed;

    fn try_from(text: String) -> Result<Self, NoDeviceNamed> {
        text.parse()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu => f.write_str("gpu"),
            Self::These(names) => f.write_str(&names.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_come_from_text_and_go_back() {
        let these = |names: &[&str]| DeviceChoice::These(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("gpu", DeviceChoice::Gpu),
            ("0", these(&["0"])),
            ("Arc A770,cpu", these(&["Arc A770", "cpu"])),
        ] {
            assert_eq!(text.parse(), Ok(choice.clone()));
            assert_eq!(choice.to_string(), text);
        }
        for text in ["", ",", "0,", " "] {
            assert_eq!(text.parse::<DeviceChoice>(), Err(NoDeviceNamed(text.to_owned())));
        }
    }
}
