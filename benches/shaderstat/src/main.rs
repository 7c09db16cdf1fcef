//! What the compilers of real drivers make of the kernels, on a machine without the hardware.
//!
//! Mesa's RADV compiles for an AMD family that `RADV_FORCE_FAMILY` names, without a card, and tells what came out:
//! registers, spills, code size, and its own estimate of cycles. `shaderstat` prints a table of all kernels and families;
//! `--check FILE` compares with a table that was kept and fails on spills that were not there and, by the same driver, more
//! registers or 5 % more cycles. Estimates assume a fixed number of turns per loop, so they compare kernels of one structure and are no
//! measurement.
//!
//! ```text
//! VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/radeon_icd.json cargo run -p filecash-shaderstat -- --families navi31,vega10
//! ```

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

mod radv;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::Kernel;
use filecash_shaders::labels::LabelHash;
use serde::{Deserialize, Serialize};

/// Names a family to RADV, and in the child process to us.
const FAMILY: &str = "RADV_FORCE_FAMILY";

/// What driver compilers make of the shaders, without hardware.
#[derive(Parser)]
struct Arguments {
    /// AMD families, as RADV names them
    #[arg(long, value_delimiter = ',', default_value = "navi21,navi31,vega10")]
    families: Vec<String>,
    /// Compare with a table that was kept, and fail where it has become worse
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Keep the table
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Compile for the one family of the environment and print JSON
    #[arg(long, hide = true)]
    child: bool,
}

/// Statistics of a kernel by name.
type Statistics = BTreeMap<String, u64>;
/// By kernel.
type Kernels = BTreeMap<String, Statistics>;

/// What a driver makes of the kernels.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Report {
    /// Its name and version: registers and cycles of two drivers are not compared, spills are.
    driver: String,
    /// By family.
    families: BTreeMap<String, Kernels>,
}

/// What is shown and compared, as RADV names it.
const SHOWN: [(&str, &str); 6] = [
    ("VGPRs", "registers"),
    ("Spilled VGPRs", "spilled"),
    ("Scratch size", "scratch B"),
    ("LDS size", "shared B"),
    ("Code size", "code B"),
    ("Inverse Throughput", "cycles (est.)"),
];

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.child {
        println!("{}", serde_json::to_string(&of_this_family()?)?);
        return Ok(());
    }
    let mut report = Report::default();
    for family in &arguments.families {
        let of_family = in_child(family)?;
        report.driver = of_family.driver;
        report.families.extend(of_family.families);
    }
    println!("{}\n", report.driver);
    println!("{}", table(&report));
    if let Some(path) = &arguments.keep {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n").context("cannot keep the table")?;
    }
    if let Some(path) = &arguments.check {
        let kept = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let worse = worse(&serde_json::from_str(&kept)?, &report);
        ensure!(worse.is_empty(), "worse than {}:\n  {}", path.display(), worse.join("\n  "));
        println!("nothing is worse than {}", path.display());
    }
    Ok(())
}

/// The kernels that are in use, and a multiplication of each field.
fn kernels() -> Vec<Kernel> {
    let mut kernels = vec![Kernel::ShaLevel, Kernel::Encode, Kernel::Decode];
    kernels.extend(LabelHash::ALL.map(Kernel::Labels));
    for form in Form::ALL {
        kernels.extend(Field::ALL.map(|field| Kernel::FieldProbe(field, form)));
        kernels.extend(Kernel::poseidon_levels(form));
    }
    kernels
}

/// The driver reads its environment once, so that every family has a process of its own.
fn in_child(family: &str) -> anyhow::Result<Report> {
    let output = Command::new(env::current_exe()?)
        .arg("--child")
        .env(FAMILY, family)
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .output()?;
    if !output.status.success() {
        bail!("{family}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{family}: no table came"))
}

fn of_this_family() -> anyhow::Result<Report> {
    let device = radv::Device::open()?;
    let statistics = |kernel: Kernel| {
        let statistics = spirv(kernel).and_then(|words| device.statistics(&words, kernel.bindings()));
        Ok((kernel.name(), statistics.with_context(|| kernel.name())?))
    };
    let kernels = kernels().into_iter().map(statistics).collect::<anyhow::Result<_>>()?;
    let families = [(env::var(FAMILY).unwrap_or_default(), kernels)].into();
    Ok(Report { driver: device.driver(), families })
}

/// The SPIR-V of a kernel, for a workgroup of 64.
fn spirv(kernel: Kernel) -> anyhow::Result<Vec<u32>> {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    let source = kernel.source()?;
    let module = naga::front::wgsl::parse_str(&source)?;
    let capabilities = Capabilities::IMMEDIATES | Capabilities::SHADER_INT64;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).map_err(Box::new)?;
    let entry = Some((naga::ShaderStage::Compute, "main"));
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &Default::default())?;
    let options = naga::back::spv::Options {
        lang_version: (1, 3),
        zero_initialize_workgroup_memory: naga::back::spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    Ok(naga::back::spv::write_vec(&module, &info, &options, None)?)
}

/// The report as Markdown.
fn table(report: &Report) -> String {
    let mut text = format!("| family | kernel |{}\n", SHOWN.map(|(_, title)| format!(" {title} |")).concat());
    text += &format!("|---|---|{}\n", "---|".repeat(SHOWN.len()));
    for (family, kernels) in &report.families {
        for (kernel, statistics) in kernels {
            let value = |(name, _): (&str, &str)| statistics.get(name).map_or("?".to_owned(), u64::to_string);
            text += &format!("| {family} | {kernel} |{}\n", SHOWN.map(|shown| format!(" {} |", value(shown))).concat());
        }
    }
    text
}

/// What has become worse: spills, registers, or 5 % more cycles.
fn worse(kept: &Report, now: &Report) -> Vec<String> {
    let mut worse = Vec::new();
    let is_same_driver = kept.driver == now.driver;
    for (family, kernels) in &now.families {
        for (kernel, statistics) in kernels {
            let Some(before) = kept.families.get(family).and_then(|kernels| kernels.get(kernel)) else {
                worse.push(format!("{family}, {kernel}: not in the table"));
                continue;
            };
            let compared = [("Spilled VGPRs", 0), ("Scratch size", 0), ("VGPRs", 0), ("Inverse Throughput", 5)];
            for (name, percent) in compared.into_iter().take(if is_same_driver { 4 } else { 2 }) {
                let of = |statistics: &Statistics| statistics.get(name).copied().unwrap_or_default();
                let (before, now) = (of(before), of(statistics));
                if now * 100 > before * (100 + percent) {
                    worse.push(format!("{family}, {kernel}: {name} {before} before, {now} now"));
                }
            }
        }
    }
    worse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(registers: u64, cycles: u64) -> Report {
        let statistics = [("VGPRs", registers), ("Inverse Throughput", cycles)];
        let statistics = statistics.map(|(name, value)| (name.to_owned(), value)).into();
        let families = [("navi31".to_owned(), [("k".to_owned(), statistics)].into())].into();
        Report { driver: "d".to_owned(), families }
    }

    #[test]
    fn what_is_worse_is_named() {
        let kept = report(40, 1000);
        assert!(worse(&kept, &report(40, 1050)).is_empty() && worse(&kept, &report(30, 900)).is_empty());
        assert_eq!(worse(&kept, &report(41, 1000)), ["navi31, k: VGPRs 40 before, 41 now"]);
        assert_eq!(worse(&kept, &report(40, 1051)), ["navi31, k: Inverse Throughput 1000 before, 1051 now"]);
        assert_eq!(worse(&Report::default(), &kept), ["navi31, k: not in the table"]);
        assert!(worse(&Report { driver: "e".to_owned(), ..kept }, &report(41, 2000)).is_empty());
    }

    #[test]
    fn every_kernel_becomes_spirv() {
        for kernel in kernels() {
            assert_eq!(spirv(kernel).unwrap()[0], 0x0723_0203, "{}", kernel.name());
        }
    }
}
