//! Every kernel in every form, through naga to the languages of the drivers: SPIR-V for Vulkan, MSL for Metal, HLSL for
//! DirectX 12, and GLSL where the kernel is of 32-bit integers alone. `spirv-val` judges the SPIR-V where it is installed,
//! which `FILECASH_TESTS_NEED_GPU` makes a must.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use filecash_shaders::field::{Field, Form};
use filecash_shaders::kernels::{Group, Kernel};
use filecash_shaders::labels::LabelHash;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// Every kernel with the form of its elements.
fn kernels() -> Vec<(Kernel, Form)> {
    let mut kernels = vec![(Kernel::ShaLevel, Form::Narrow), (Kernel::LongLoop, Form::Narrow)];
    kernels.extend([Kernel::Encode, Kernel::Decode].map(|kernel| (kernel, Form::Narrow)));
    kernels.extend(LabelHash::ALL.map(|hash| (Kernel::Labels(hash), hash.form())));
    for form in Form::ALL {
        kernels.extend(Kernel::poseidon_levels(form).map(|kernel| (kernel, form)));
        kernels.extend(Kernel::transforms(form).map(|kernel| (kernel, form)));
        for field in Field::ALL {
            let probes =
                [Kernel::FieldProbe(field, form), Kernel::FieldProbeMore(field, form), Kernel::FieldLoop(field, form)];
            kernels.extend(probes.map(|kernel| (kernel, form)));
        }
        kernels.extend(Group::ALL.into_iter().flat_map(|group| Kernel::sums(group, form)).map(|kernel| (kernel, form)));
        kernels.extend(Kernel::inversions(form).map(|kernel| (kernel, form)));
    }
    kernels
}

/// A kernel as wgpu has it before it goes to a driver; with no capability but those that the form needs.
fn parsed(kernel: Kernel, form: Form) -> (Module, ModuleInfo) {
    let source = kernel.source().unwrap();
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name(), error.emit_to_string(&source)));
    let wide = if form == Form::Wide { Capabilities::SHADER_INT64 } else { Capabilities::empty() };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES | wide);
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{}: {error:?}", kernel.name()));
    let entry = Some((ShaderStage::Compute, "main"));
    let (module, info) = process_overrides(&module, &info, entry, &Default::default()).unwrap();
    (module.into_owned(), info.into_owned())
}

#[test]
fn kernels_are_valid_wgsl_with_few_capabilities() {
    for (kernel, form) in kernels() {
        let (module, _) = parsed(kernel, form);
        assert_eq!(module.entry_points.len(), 1, "{}", kernel.name());
    }
}

#[test]
fn kernels_are_valid_spirv() {
    let has_judge = Command::new("spirv-val").arg("--version").output().is_ok();
    if !has_judge {
        assert!(env::var_os("FILECASH_TESTS_NEED_GPU").is_none(), "spirv-val is not installed");
        eprintln!("spirv-val is not installed, SPIR-V is written and not judged");
    }
    for (kernel, form) in kernels() {
        let (module, info) = parsed(kernel, form);
        let options = naga::back::spv::Options { lang_version: (1, 3), ..Default::default() };
        let words = naga::back::spv::write_vec(&module, &info, &options, None).unwrap();
        assert_eq!(words[0], 0x0723_0203, "{}", kernel.name());
        if has_judge {
            let mut judge = Command::new("spirv-val")
                .args(["--target-env", "vulkan1.2", "-"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            judge.stdin.take().unwrap().write_all(&bytes).unwrap();
            let output = judge.wait_with_output().unwrap();
            assert!(output.status.success(), "{}: {}", kernel.name(), String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn kernels_translate_to_msl() {
    for (kernel, form) in kernels() {
        let (module, info) = parsed(kernel, form);
        let options =
            naga::back::msl::Options { lang_version: (2, 3), fake_missing_bindings: true, ..Default::default() };
        let pipeline = naga::back::msl::PipelineOptions::default();
        let (text, _) = naga::back::msl::write_string(&module, &info, &options, &pipeline).unwrap();
        assert!(text.contains("kernel void main_("), "{}", kernel.name());
    }
}

#[test]
fn kernels_translate_to_hlsl() {
    for (kernel, form) in kernels() {
        let (module, info) = parsed(kernel, form);
        let options = naga::back::hlsl::Options {
            shader_model: naga::back::hlsl::ShaderModel::V6_0,
            fake_missing_bindings: true,
            immediates_target: Some(naga::back::hlsl::BindTarget::default()),
            ..Default::default()
        };
        let pipeline = naga::back::hlsl::PipelineOptions::default();
        let mut text = String::new();
        naga::back::hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).unwrap();
        assert!(text.contains("[numthreads("), "{}", kernel.name());
    }
}

#[test]
fn narrow_kernels_translate_to_glsl() {
    for (kernel, form) in kernels().into_iter().filter(|(_, form)| *form == Form::Narrow) {
        let (module, info) = parsed(kernel, form);
        let options = naga::back::glsl::Options {
            version: naga::back::glsl::Version::Embedded { version: 310, is_webgl: false },
            ..Default::default()
        };
        let pipeline = naga::back::glsl::PipelineOptions {
            shader_stage: ShaderStage::Compute,
            entry_point: "main".to_owned(),
            multiview: None,
        };
        let mut text = String::new();
        let policies = naga::proc::BoundsCheckPolicies::default();
        naga::back::glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, policies)
            .unwrap()
            .write()
            .unwrap();
        assert!(text.contains("void main()"), "{}", kernel.name());
    }
}
