//! Which devices a user wants.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Bytes of a GPU's memory that are used unless somebody says otherwise.
pub const DEFAULT_MAX_VRAM: u64 = 1 << 30;

/// Which devices are to compute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// A phase that devices take part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TreeD.
    Pc1,
    /// Columns and trees.
    Pc2,
    /// Proofs of replication.
    C2,
    /// Proofs of space-time.
    PoSt,
    /// Trees and proofs of sector updates.
    Update,
}

impl Phase {
    /// All, in the order of a sector's life.
    pub const ALL: [Self; 5] = [Self::Pc1, Self::Pc2, Self::C2, Self::PoSt, Self::Update];

    /// As settings name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pc1 => "pc1",
            Self::Pc2 => "pc2",
            Self::C2 => "c2",
            Self::PoSt => "post",
            Self::Update => "update",
        }
    }
}

/// Which devices are to compute what: those of a choice, but those of others in phases of their own. As a text:
/// `auto; c2=cpu; pc2=0,cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DevicePlan {
    /// Wherever nothing else is said.
    pub all: DeviceChoice,
    /// Phases with a choice of their own.
    pub phases: Vec<(Phase, DeviceChoice)>,
}

impl DevicePlan {
    /// The choice of a phase.
    pub fn of(&self, phase: Phase) -> &DeviceChoice {
        self.phases.iter().find(|(other, _)| *other == phase).map_or(&self.all, |(_, choice)| choice)
    }
}

impl FromStr for DevicePlan {
    type Err = NoDeviceNamed;

    fn from_str(text: &str) -> Result<Self, NoDeviceNamed> {
        let refused = || NoDeviceNamed(text.to_owned());
        let (mut all, mut phases) = (None, Vec::<(Phase, DeviceChoice)>::new());
        for part in text.split(';').map(str::trim) {
            match part.split_once('=') {
                None if all.is_none() => all = Some(part.parse().map_err(|_| refused())?),
                None => return Err(refused()),
                Some((name, choice)) => {
                    let phase = Phase::ALL.into_iter().find(|phase| phase.name() == name.trim()).ok_or_else(refused)?;
                    if phases.iter().any(|(other, _)| *other == phase) {
                        return Err(refused());
                    }
                    phases.push((phase, choice.trim().parse().map_err(|_| refused())?));
                }
            }
        }
        Ok(Self { all: all.unwrap_or_default(), phases })
    }
}

impl TryFrom<String> for DevicePlan {
    type Error = NoDeviceNamed;

    fn try_from(text: String) -> Result<Self, NoDeviceNamed> {
        text.parse()
    }
}

impl fmt::Display for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        self.phases.iter().try_for_each(|(phase, choice)| write!(f, "; {}={choice}", phase.name()))
    }
}

/// A list of devices with an empty entry, or a phase that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no device: say auto, cpu, gpu, or numbers and names of adapters with commas between; for single phases \
     (pc1, pc2, c2, post, update) after semicolons, as in \"auto; c2=cpu\""
)]
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

    #[test]
    fn plans_come_from_text_and_go_back() {
        for text in ["auto", "0,cpu", "auto; c2=cpu", "gpu; pc2=0,Arc A770; post=cpu"] {
            assert_eq!(text.parse::<DevicePlan>().unwrap().to_string(), text);
        }
        let plan: DevicePlan = "c2=cpu;pc2 = gpu".parse().unwrap();
        assert_eq!(plan.of(Phase::C2), &DeviceChoice::Cpu);
        assert_eq!(plan.of(Phase::Pc2), &DeviceChoice::Gpu);
        assert_eq!(plan.of(Phase::PoSt), &DeviceChoice::Auto);
        for text in ["", ";", "auto;", "auto; gpu", "c3=cpu", "c2=", "c2=cpu; c2=gpu", "=cpu"] {
            assert_eq!(text.parse::<DevicePlan>(), Err(NoDeviceNamed(text.to_owned())));
        }
    }
}
