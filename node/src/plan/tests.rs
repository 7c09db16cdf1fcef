use filecash_engine::calibrate::Lockstep;
use filecash_engine::circuit::{PoRepShape, PoStShape, ProofCircuit, Shape};
use filecash_engine::groth16::Density;
use filecash_engine::sector::params::all;
use filecash_engine::sector::{PoStKind, Profile, SealProof};

use super::*;

const GIB: u64 = 1 << 30;

/// One of everything a second: a time is a count.
fn unit_rates(profile: Profile) -> Rates {
    super::unit_rates(profile, 1)
}

/// A plan with a free hand.
fn planned(profile: Profile, size: u64, change: impl FnOnce(&mut Question<'_>)) -> Vec<Needs> {
    with_rates(&unit_rates(profile), size, change)
}

fn with_rates(rates: &Rates, size: u64, change: impl FnOnce(&mut Question<'_>)) -> Vec<Needs> {
    let config = SealProof::for_size(rates.profile, size).unwrap().config();
    let mut question = Question {
        config: &config,
        sectors: 1,
        memory_bytes: GIB,
        free_bytes: None,
        devices: [None; DevicePhase::ALL.len()],
        rows_to_discard: 2,
        rates,
        disk: None,
    };
    change(&mut question);
    plan(&question)
}

fn phase(needs: &[Needs], phase: Phase) -> &Needs {
    needs.iter().find(|needs| needs.phase == phase).unwrap()
}

fn count(needs: &Needs, what: &str) -> f64 {
    needs.terms.iter().find(|term| term.what.contains(what)).unwrap_or_else(|| panic!("{what}: {needs:?}")).count
}

/// spec/replication.md 3.2, spec/snark.md 2.8: file sizes; and how often parameters are read with a budget of 1 GiB.
#[test]
fn files_have_the_references_sizes() {
    let table = [
        (Profile::Filecoin, 2 << 10, [4064, 2 * 2048, 2336, 32], 1_114_707_768, 1),
        (Profile::Filecoin, 8 << 20, [16_777_184, 2 * (8 << 20), 9_586_976, 18_720], 1_429_027_896, 1),
        (Profile::Filecoin, 512 << 20, [1_073_741_792, 2 * (512 << 20), 613_566_752, 1_198_368], 1_988_841_144, 1),
        (
            Profile::Filecoin,
            32 * GIB,
            [68_719_476_704, 11 * 32 * GIB, 8 * 4_908_534_048, 8 * 9_586_976],
            47_373_928_632,
            4,
        ),
        (Profile::Filecash, 4 * GIB, [8_589_934_560, 8 * 4 * GIB, 4_908_534_048, 9_586_976], 34_730_391_384, 10),
        (
            Profile::Filecash,
            16 * GIB,
            [34_359_738_336, 5 * 16 * GIB, 4 * 4_908_534_048, 4 * 9_586_976],
            23_319_937_080,
            10,
        ),
    ];
    for (profile, size, files, parameters, passes) in table {
        let needs = planned(profile, size, |_| {});
        let all: Vec<_> = needs.iter().flat_map(|needs| &needs.disk).collect();
        let bytes = ["tree-d", "layers", "tree-c", "tree-r-last"]
            .map(|what| all.iter().find(|file| file.what == what).unwrap().bytes);
        assert_eq!(bytes, files, "{profile} {size}");
        let c2 = phase(&needs, Phase::C2);
        assert!(c2.disk.iter().any(|file| file.what.contains("parameters") && file.bytes == parameters), "{c2:?}");
        // Of ten partitions some are proven at once.
        assert_eq!(c2.parameter_bytes, passes * parameters, "{profile} {size}");
    }
}

/// spec/snark.md 6.4 and 2.7: a 32 GiB sector's counts, partition by partition.
#[test]
fn times_are_counts_times_seconds_each() {
    let needs = planned(Profile::Filecoin, 32 * GIB, |_| {});
    let nodes = (GIB) as f64;
    assert_eq!(count(phase(&needs, Phase::Pc1), "labels"), 11.0 * nodes);
    assert_eq!(count(phase(&needs, Phase::Pc2), "columns"), nodes);
    let c2 = phase(&needs, Phase::C2);
    assert_eq!(count(c2, "six transforms"), 10.0 * 6.0 * (1_u64 << 27) as f64);
    assert_eq!(count(c2, "variables given values"), 10.0 * 130_169_893.0);
    assert_eq!(count(c2, "points of H"), 10.0 * 134_217_727.0);
    let l = count(c2, "points of L") / 10.0 / 130_169_893.0;
    assert!((0.47..0.5).contains(&l), "{l}");
    assert_eq!(count(phase(&needs, Phase::WindowPost), "six transforms"), 6.0 * (1_u64 << 27) as f64);
    for needs in &needs {
        assert!((needs.seconds - needs.terms.iter().map(|term| term.count).sum::<f64>()).abs() < 1.0);
    }
}

/// Two vectors of the circuit's domain, 8.6 GB for a 32 GiB sector, or three files of 4.3 GB and one for each further proof; PC1 of 512 MiB: a parent table of
/// 0.9 GiB mapped, and two layers of 0.5 GiB in memory where the budget has room beside the program.
#[test]
fn memory_is_what_the_engine_asks_for() {
    let scratch = |needs: &Needs| {
        needs.disk.iter().filter(|file| file.place == Place::Scratch).map(|file| file.bytes).sum::<u64>()
    };
    let needs = planned(Profile::Filecoin, 32 * GIB, |_| {});
    let c2 = phase(&needs, Phase::C2);
    assert!((400_000_000..700_000_000).contains(&c2.least_memory_bytes) && c2.fits, "{c2:?}");
    assert_eq!(scratch(c2), 5 << 32);
    let short = planned(Profile::Filecoin, 32 * GIB, |question| question.memory_bytes = c2.least_memory_bytes - 1);
    assert!(!phase(&short, Phase::C2).fits);
    for (budget, vectors) in
        [(600_000_000, 3), (8_600_000_000, 6), (9_100_000_000, 0), (11_000_000_000, 3), (32_000_000_000, 0)]
    {
        let needs = planned(Profile::Filecoin, 32 * GIB, |question| question.memory_bytes = budget);
        let c2 = phase(&needs, Phase::C2);
        assert_eq!(scratch(c2), vectors << 32, "{budget}");
        assert!(c2.fits && c2.working_bytes <= budget, "{c2:?}");
    }
    // A window proof's values are wide: 32 bytes for each of 127 million.
    let window = phase(&needs, Phase::WindowPost).least_memory_bytes;
    assert!((4_000_000_000..4_300_000_000).contains(&window), "{window}");
    let needs = planned(Profile::Filecoin, 512 << 20, |_| {});
    assert!(needs.iter().all(|needs| needs.fits && needs.working_bytes <= GIB), "{needs:?}");
    let room = GIB + PROGRAM_BYTES;
    let enough = planned(Profile::Filecoin, 512 << 20, |question| question.memory_bytes = room);
    let pc1 = phase(&enough, Phase::Pc1);
    assert_eq!((pc1.mapped_bytes, pc1.working_bytes), (56 << 24, 64 << 24));
    let short = planned(Profile::Filecoin, 512 << 20, |question| question.memory_bytes = room - 1);
    let pc1 = phase(&short, Phase::Pc1);
    assert!(pc1.mapped_bytes == (56 + 64) << 24 && pc1.working_bytes < 64 << 20, "{pc1:?}");
}

/// The formula against circuits that were recorded, PoReps and proofs of space-time.
#[test]
fn circuits_take_the_memory_that_is_planned() {
    let check = |planned: u64, shape: &Shape, name: &str| {
        let actual = (shape.memory_bytes() + Density::new(shape).memory_bytes()) as f64;
        let ratio = planned as f64 / actual;
        assert!((0.9..1.5).contains(&ratio), "{name}: {planned} bytes planned, {actual} recorded");
    };
    for (profile, size) in [
        (Profile::Filecoin, 2 << 10),
        (Profile::Filecoin, 512 << 20),
        (Profile::Filecoin, 32 * GIB),
        (Profile::Filecash, 2 << 10),
        (Profile::Filecash, 16 * GIB),
    ] {
        let params = SealProof::for_size(profile, size).unwrap().config().params;
        let needs = planned(profile, size, |_| {});
        let besides = |name| phase(&needs, name).besides_bytes - PROGRAM_BYTES;
        let shape = PoRepShape::new(profile, params).blank().record();
        check(besides(Phase::C2), &shape, &format!("PoRep {profile} {size}"));
        if size == 32 * GIB {
            let shape = PoStShape::new(PoStKind::Winning, params).blank().record();
            check(besides(Phase::WinningPost), &shape, "winning PoSt");
        }
    }
}

#[test]
fn every_size_can_be_planned_and_larger_ones_need_no_less() {
    for profile in Profile::ALL {
        let mut before: Option<Vec<Needs>> = None;
        let is_sealed = |params: &&SectorParams| SealProof::for_size(profile, params.size_bytes).is_ok();
        for params in all(profile).filter(is_sealed) {
            let needs = planned(profile, params.size_bytes, |_| {});
            for needs in &needs {
                assert!(needs.seconds > 0.0 && needs.seconds.is_finite(), "{} {needs:?}", params.name);
                assert!(!needs.fits || needs.working_bytes <= GIB, "{} {needs:?}", params.name);
            }
            // Filecash's 16 GiB has fewer layers than its 4 GiB, and both have circuits of their own.
            let is_alike = profile == Profile::Filecoin || params.layers == 2;
            if let Some(before) = before.filter(|_| is_alike) {
                for (smaller, larger) in before.iter().zip(&needs) {
                    let [smaller, larger] = [smaller, larger].map(|needs| {
                        (
                            needs.seconds,
                            needs.mapped_bytes,
                            needs.disk_bytes(Lifetime::UntilProven),
                            needs.parameter_bytes,
                        )
                    });
                    assert!(smaller.0 <= larger.0, "{}: {smaller:?} {larger:?}", params.name);
                    assert!(smaller.1 <= larger.1 && smaller.2 <= larger.2 && smaller.3 <= larger.3, "{}", params.name);
                }
            }
            before = Some(needs);
        }
    }
}

#[test]
fn smaller_budgets_take_less_and_longer() {
    let with = |memory_bytes| planned(Profile::Filecoin, 8 << 20, |question| question.memory_bytes = memory_bytes);
    let (small, large) = (with(320 << 20), with(4 * GIB));
    for (small, large) in small.iter().zip(&large) {
        assert!(small.working_bytes <= large.working_bytes && small.seconds >= large.seconds, "{small:?} {large:?}");
        assert!(small.working_bytes <= 320 << 20, "{small:?}");
    }
}

#[test]
fn many_sectors_are_labelled_in_lockstep_where_memory_is_free() {
    let rates =
        Rates { threads: 2, lockstep: Some(Lockstep { sectors: 2, labels: 4.0 }), ..unit_rates(Profile::Filecoin) };
    let planned =
        |free| with_rates(&rates, 8 << 20, |question| (question.sectors, question.free_bytes) = (4, Some(free)));
    let labels = |needs: &[Needs]| {
        let pc1 = phase(needs, Phase::Pc1);
        pc1.terms.iter().find(|term| term.what.contains("labels")).unwrap().clone()
    };
    let nodes = (2 * (8 << 20) / 32) as f64;
    // Room for one sector: one after the other.
    let alone = labels(&planned(16 << 20));
    assert_eq!((alone.count, alone.per_second), (4.0 * nodes, 1.0));
    if lockstep(&SealProof::for_size(Profile::Filecoin, 8 << 20).unwrap().config(), 4, Some(GIB), 2) == 2 {
        let grouped = labels(&planned(GIB));
        assert_eq!((grouped.count, grouped.per_second), (2.0 * nodes, 4.0));
    }
    let notes = |memory_bytes| {
        let needs = with_rates(&rates, 8 << 20, |question| {
            (question.free_bytes, question.memory_bytes) = (Some(16 << 20), memory_bytes);
        });
        phase(&needs, Phase::Pc1).notes.concat()
    };
    let room = (16 << 20) + PROGRAM_BYTES;
    assert!(notes(room - 1).contains("random reads") && !notes(room - 1).contains("smaller budget"));
    assert!(notes(room).contains("smaller budget") && !notes(room).contains("random reads"));
}

#[test]
fn disks_and_devices_are_told() {
    let disk = DiskRates { read: 1.0, write: 0.5 };
    let needs = planned(Profile::Filecoin, 2 << 10, |question| {
        question.disk = Some(disk);
        let devices = Devices { vram_bytes: 8 * GIB, places: &[], with_cpu: true };
        question.devices[DevicePhase::C2 as usize] = Some(devices);
    });
    for needs in &needs {
        let expected = needs.read_bytes as f64 + 2.0 * needs.written_bytes as f64;
        assert_eq!(needs.disk_seconds, Some(expected));
        assert_eq!(needs.seconds, expected.max(needs.processor_seconds()));
        assert_eq!(needs.vram_bytes, if needs.phase == Phase::C2 { 8 * GIB } else { 0 });
    }
    // While PC2 runs: data, tree-d, layers, tree-c, tree-r-last, sealed file and its replacement.
    let sealing = &needs[..3];
    assert_eq!(peak_disk_bytes(sealing), 2048 + 4064 + 2 * 2048 + 2048 + 2336 + 32 + 2048);
}

/// Nine times the CPU: a tenth of the time with it, a ninth without, and only where it takes part.
#[test]
fn devices_that_are_known_take_their_part_of_the_time() {
    let nine = DeviceRates {
        name: "nine".to_owned(),
        sha_nodes: 9.0,
        poseidon: [(8, 9.0), (11, 9.0)].into(),
        transform: 9.0,
        g1: 9.0,
        g2: 9.0,
    };
    let rates = Rates { devices: vec![nine], ..unit_rates(Profile::Filecoin) };
    assert!(rates.are_usable());
    let with = |with_cpu| {
        with_rates(&rates, 32 * GIB, |question| {
            let devices = Devices { vram_bytes: GIB, places: &[0, 7], with_cpu };
            for phase in [DevicePhase::Pc2, DevicePhase::C2] {
                question.devices[phase as usize] = Some(devices);
            }
        })
    };
    let alone = with_rates(&rates, 32 * GIB, |_| {});
    let rate = |needs: &[Needs], name: Phase, what: &str| {
        phase(needs, name).terms.iter().find(|term| term.what.contains(what)).unwrap().per_second
    };
    for (name, what) in [(Phase::Pc2, "columns"), (Phase::Pc2, "tree-c"), (Phase::C2, "transforms")] {
        let rates = [&alone, &with(true), &with(false)].map(|needs| rate(needs, name, what));
        assert_eq!(rates, [1.0, 10.0, 9.0], "{what}");
    }
    // A point of H is decoded and added to some twenty buckets by the CPU; the device does nine whole ones a second.
    assert_eq!(rate(&with(false), Phase::C2, "points of H multiplied"), 9.0);
    let both = rate(&with(true), Phase::C2, "points of H multiplied");
    assert!((9.03..9.1).contains(&both), "{both}");
    assert_eq!(rate(&with(true), Phase::WindowPost, "transforms"), 1.0);
    assert_eq!(rate(&with(true), Phase::Pc1, "tree-d"), 1.0);
    let seconds = |needs: &[Needs]| phase(needs, Phase::C2).seconds;
    assert!(seconds(&with(true)) < seconds(&with(false)) && seconds(&with(false)) < seconds(&alone) / 2.0);
}
