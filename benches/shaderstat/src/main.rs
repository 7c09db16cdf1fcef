//! What the compilers of real drivers make of the kernels, on a machine without the hardware.
//!
//! Mesa's RADV compiles for an AMD family that `RADV_FORCE_FAMILY` names, without a card, and tells what came out:
//! registers, spills, code size, and its own estimate of cycles. `shaderstat` prints a table of all kernels and families;
//! `--check FILE` compares with a table that was kept and fails on spills that were not there and, by the same driver, more
//! registers or 5 % more cycles. Estimates assume a fixed number of turns per loop, so they compare kernels of one structure and are no
//! measurement.
//!
//! Mesa's ANV does the same for Intel's families, behind a library of Mesa's that answers for the kernel driver
//! (`--intel-shim`).
//!
//! ```text
//! VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/radeon_icd.json cargo run -p filecash-shaderstat -- --families navi31,vega10
//! ```

#![allow(clippy::print_stdout, reason = "a program that prints a table")]

mod driver;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::{Group, Kernel};
use filecash_shaders::labels::LabelHash;
use naga::Module;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use serde::{Deserialize, Serialize};

/// A driver that compiles without its hardware, and what it says of a kernel.
struct Compiler {
    /// The variable of the environment that names a family to it, and in the child process to us.
    family: &'static str,
    /// Families, unless others are asked for.
    families: &'static [&'static str],
    /// Statistics to show, as it names them, and their titles.
    shown: &'static [(&'static str, &'static str)],
    /// Spills, which are compared with those of any version of the driver.
    spills: [&'static str; 2],
    /// What else is compared, and how many per cent more are none.
    compared: [(&'static str, u64); 2],
}

const RADV: Compiler = Compiler {
    family: "RADV_FORCE_FAMILY",
    families: &["navi21", "navi31", "vega10"],
    shown: &[
        ("VGPRs", "registers"),
        ("Spilled VGPRs", "spilled"),
        ("Scratch size", "scratch B"),
        ("LDS size", "shared B"),
        ("Code size", "code B"),
        ("Inverse Throughput", "cycles (est.)"),
    ],
    spills: ["Spilled VGPRs", "Scratch size"],
    compared: [("VGPRs", 0), ("Inverse Throughput", 5)],
};

const ANV: Compiler = Compiler {
    family: "INTEL_STUB_GPU_PLATFORM",
    families: &["dg2", "mtl", "tgl"],
    shown: &[
        ("Max dispatch width", "lanes"),
        ("Max live registers", "live registers"),
        ("Spill Count", "spills"),
        ("Fill Count", "fills"),
        ("Scratch Memory Size", "scratch B"),
        ("Workgroup Memory Size", "shared B"),
        ("Instruction Count", "instructions"),
        ("Cycle Count", "cycles (est.)"),
    ],
    spills: ["Spill Count", "Scratch Memory Size"],
    compared: [("Instruction Count", 5), ("Cycle Count", 5)],
};

/// What driver compilers make of the shaders, without hardware.
#[derive(Parser)]
struct Arguments {
    /// Families, as the driver names them [default: navi21, navi31, vega10; of Intel dg2, mtl, tgl]
    #[arg(long, value_delimiter = ',')]
    families: Vec<String>,
    /// Mesa's libintel_noop_drm_shim.so: compile for Intel's families; VK_ICD_FILENAMES is then ANV's
    #[arg(long, value_name = "FILE")]
    intel_shim: Option<PathBuf>,
    /// Compare with a table that was kept, and fail where it has become worse
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Keep the table
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Write every kernel to this folder as HLSL, for a compiler of DirectX, and do nothing else
    #[arg(long, value_name = "FOLDER")]
    hlsl: Option<PathBuf>,
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

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let shim = arguments.intel_shim.as_deref();
    let compiler = if shim.is_some() { ANV } else { RADV };
    if arguments.child {
        println!("{}", serde_json::to_string(&of_this_family(&compiler)?)?);
        return Ok(());
    }
    if let Some(folder) = &arguments.hlsl {
        fs::create_dir_all(folder)?;
        for kernel in kernels() {
            fs::write(folder.join(kernel.name() + ".hlsl"), hlsl(kernel)?)?;
        }
        return Ok(());
    }
    let mut report = Report::default();
    let families = match arguments.families.is_empty() {
        true => compiler.families.iter().copied().map(str::to_owned).collect(),
        false => arguments.families,
    };
    for family in &families {
        let of_family = in_child(&compiler, family, shim)?;
        report.driver = of_family.driver;
        report.families.extend(of_family.families);
    }
    println!("{}\n", report.driver);
    println!("{}", table(&compiler, &report));
    if let Some(path) = &arguments.keep {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n").context("cannot keep the table")?;
    }
    if let Some(path) = &arguments.check {
        let kept = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let worse = worse(&compiler, &serde_json::from_str(&kept)?, &report);
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
        kernels.extend(Field::ALL.map(|field| Kernel::FieldProbeMore(field, form)));
        kernels.extend(Kernel::poseidon_levels(form));
        kernels.extend(Kernel::transforms(form));
        kernels.extend(Group::ALL.into_iter().flat_map(|group| Kernel::sums(group, form)));
        kernels.extend(Kernel::inversions(form));
    }
    kernels
}

/// The driver reads its environment once, so that every family has a process of its own.
fn in_child(compiler: &Compiler, family: &str, shim: Option<&Path>) -> anyhow::Result<Report> {
    let mut child = Command::new(env::current_exe()?);
    child.arg("--child").env(compiler.family, family).env("MESA_SHADER_CACHE_DISABLE", "true");
    if let Some(shim) = shim {
        child.arg("--intel-shim").arg(shim).env("LD_PRELOAD", shim);
    }
    let output = child.output()?;
    if !output.status.success() {
        bail!("{family}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{family}: no table came"))
}

fn of_this_family(compiler: &Compiler) -> anyhow::Result<Report> {
    let device = driver::Device::open()?;
    let statistics = |kernel: Kernel| {
        let statistics = spirv(kernel).and_then(|words| device.statistics(&words, kernel.bindings()));
        Ok((kernel.name(), statistics.with_context(|| kernel.name())?))
    };
    let kernels = kernels().into_iter().map(statistics).collect::<anyhow::Result<_>>()?;
    let families = [(env::var(compiler.family).unwrap_or_default(), kernels)].into();
    Ok(Report { driver: device.driver(), families })
}

/// A kernel as naga has it before it is written in another language, for a workgroup of 64.
fn module(kernel: Kernel) -> anyhow::Result<(Module, ModuleInfo)> {
    let source = kernel.source()?;
    let module = naga::front::wgsl::parse_str(&source)?;
    let capabilities = Capabilities::IMMEDIATES | Capabilities::SHADER_INT64;
    let info = Validator::new(ValidationFlags::all(), capabilities).validate(&module).map_err(Box::new)?;
    let entry = Some((naga::ShaderStage::Compute, "main"));
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, entry, &Default::default())?;
    Ok((module.into_owned(), info.into_owned()))
}

fn spirv(kernel: Kernel) -> anyhow::Result<Vec<u32>> {
    let (module, info) = module(kernel)?;
    let options = naga::back::spv::Options {
        lang_version: (1, 3),
        zero_initialize_workgroup_memory: naga::back::spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    Ok(naga::back::spv::write_vec(&module, &info, &options, None)?)
}

/// The HLSL of a kernel for shader model 6.0, with the checks that wgpu asks for.
fn hlsl(kernel: Kernel) -> anyhow::Result<String> {
    use naga::back::hlsl::{BindTarget, Options, PipelineOptions, ShaderModel, Writer};

    let (module, info) = module(kernel)?;
    // Each binding has a register of its own number.
    let bindings = (0..kernel.bindings() as u32).map(|binding| {
        let target = BindTarget { register: binding, restrict_indexing: true, ..BindTarget::default() };
        (naga::ResourceBinding { group: 0, binding }, target)
    });
    let options = Options {
        shader_model: ShaderModel::V6_0,
        binding_map: bindings.collect(),
        immediates_target: Some(BindTarget::default()),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: false,
        ..Options::default()
    };
    let mut text = String::new();
    Writer::new(&mut text, &options, &PipelineOptions::default()).write(&module, &info, None)?;
    Ok(text)
}

/// The report as Markdown.
fn table(compiler: &Compiler, report: &Report) -> String {
    let row = |cell: &dyn Fn(&str, &str) -> String| {
        compiler.shown.iter().map(|(name, title)| format!(" {} |", cell(name, title))).collect::<String>()
    };
    let mut text = format!("| family | kernel |{}\n", row(&|_, title| title.to_owned()));
    text += &format!("|---|---|{}\n", "---|".repeat(compiler.shown.len()));
    for (family, kernels) in &report.families {
        for (kernel, statistics) in kernels {
            let value = |name: &str, _: &str| statistics.get(name).map_or("?".to_owned(), u64::to_string);
            text += &format!("| {family} | {kernel} |{}\n", row(&value));
        }
    }
    text
}

/// What has become worse: spills and, by the same driver, what else is compared.
fn worse(compiler: &Compiler, kept: &Report, now: &Report) -> Vec<String> {
    let mut worse = Vec::new();
    let is_same_driver = kept.driver == now.driver;
    for (family, kernels) in &now.families {
        for (kernel, statistics) in kernels {
            let Some(before) = kept.families.get(family).and_then(|kernels| kernels.get(kernel)) else {
                worse.push(format!("{family}, {kernel}: not in the table"));
                continue;
            };
            let spills = compiler.spills.map(|name| (name, 0));
            let others = if is_same_driver { &compiler.compared[..] } else { &[] };
            for &(name, percent) in spills.iter().chain(others) {
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
        assert!(worse(&RADV, &kept, &report(40, 1050)).is_empty() && worse(&RADV, &kept, &report(30, 900)).is_empty());
        assert_eq!(worse(&RADV, &kept, &report(41, 1000)), ["navi31, k: VGPRs 40 before, 41 now"]);
        assert_eq!(worse(&RADV, &kept, &report(40, 1051)), ["navi31, k: Inverse Throughput 1000 before, 1051 now"]);
        assert_eq!(worse(&RADV, &Report::default(), &kept), ["navi31, k: not in the table"]);
        assert!(worse(&RADV, &Report { driver: "e".to_owned(), ..kept }, &report(41, 2000)).is_empty());
    }

    #[test]
    fn every_kernel_becomes_spirv_and_hlsl() {
        for kernel in kernels() {
            assert!(hlsl(kernel).unwrap().contains("[numthreads("), "{}", kernel.name());
            assert_eq!(spirv(kernel).unwrap()[0], 0x0723_0203, "{}", kernel.name());
        }
    }
}
