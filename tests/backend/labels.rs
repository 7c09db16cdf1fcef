//! Labels of many sectors in lockstep, and encoding under them.

use std::cell::RefCell;

use filecash_engine::backend::gpu::{Gpu, GpuError, GpuLimits};
use filecash_engine::field::Node;
use filecash_engine::graph::{Graph, ParentTable};
use filecash_engine::porep::encode::{decode_node, encode_node};
use filecash_engine::porep::labels::label_layer;
use filecash_engine::sector::params::for_size;
use filecash_engine::sector::{ApiVersion, PoRepConfig, PoRepId, Profile, ReplicaId};

use crate::{nodes, on_every_adapter};

fn graph(profile: Profile, size: u64) -> (Graph, u32) {
    let params = for_size(profile, size).unwrap();
    let config = PoRepConfig::interactive(params, profile, PoRepId::from_number(5), ApiVersion::V1_1_0);
    (Graph::new(&config), params.layers as u32)
}

fn replica_ids(count: usize) -> Vec<ReplicaId> {
    (0..count).map(|i| std::array::from_fn(|byte| (i * 37 + byte * 11 + i / 256) as u8)).collect()
}

/// Layers of a sector by the plain version.
fn expected(profile: Profile, graph: &Graph, layers: u32, id: &ReplicaId) -> Vec<Vec<Node>> {
    let mut all: Vec<Vec<Node>> = Vec::new();
    for layer in 1..=layers {
        let mut labels = vec![[0xff; 32]; graph.nodes() as usize];
        label_layer(profile, id, layer, |node| graph.parents(node), all.last().map(|labels| &labels[..]), &mut labels);
        all.push(labels);
    }
    all
}

/// Labels all, and compares the sectors that `compared` chooses.
fn check(gpu: &Gpu, profile: Profile, size: u64, sectors: usize, compared: impl Fn(usize) -> bool) {
    let (graph, layers) = graph(profile, size);
    let ids = replica_ids(sectors);
    let (advanced, seen) = (RefCell::new(0), RefCell::new(0));
    let expected: Vec<_> =
        ids.iter().enumerate().map(|(i, id)| compared(i).then(|| expected(profile, &graph, layers, id))).collect();
    gpu.label_all(
        profile,
        ParentTable::compute(&graph).rows(),
        &ids,
        layers,
        |labels| {
            *advanced.borrow_mut() += labels;
            Ok::<_, GpuError>(())
        },
        |places, layer, labels| {
            assert_eq!(places.len(), labels.len());
            for (place, labels) in places.zip(labels) {
                if let Some(expected) = &expected[place] {
                    let expected = &expected[layer as usize - 1];
                    assert_eq!(labels.len(), expected.len());
                    let wrong = labels.iter().zip(expected).position(|(label, expected)| label != expected);
                    assert_eq!(wrong, None, "{profile:?}, {size}, sector {place} of {sectors}, layer {layer}");
                }
                *seen.borrow_mut() += 1;
            }
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(*seen.borrow(), sectors * layers as usize);
    assert_eq!(*advanced.borrow(), sectors as u64 * u64::from(layers) * graph.nodes());
}

#[test]
fn labels_are_the_cpus_in_both_networks() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        for profile in Profile::ALL {
            for sectors in [0, 1, 63, 64, 65] {
                check(&gpu, profile, 2 << 10, sectors, |_| true);
            }
            for sectors in [1, 63, 64, 65] {
                check(&gpu, profile, 32 << 10, sectors, |sector| [0, 31, 62, 63, 64].contains(&sector));
            }
        }
    });
}

#[test]
fn sectors_are_labelled_in_batches_that_fit() {
    // Sectors of 2 KiB and 32 KiB that fit the memory, and the binding.
    for (max_vram, max_binding, capacities) in [(1 << 20, 1 << 20, [167, 9]), (8 << 20, 128 << 10, [64, 4])] {
        on_every_adapter(GpuLimits { max_vram, max_binding, form: None }, |gpu| {
            assert_eq!([64, 1024].map(|nodes| gpu.label_capacity(nodes).unwrap()), capacities);
            for profile in Profile::ALL {
                check(&gpu, profile, 32 << 10, 10, |sector| sector % 3 == 0);
                check(&gpu, profile, 2 << 10, 200, |_| true);
            }
        });
    }
}

#[test]
fn sectors_beyond_the_device_are_refused() {
    on_every_adapter(GpuLimits { max_binding: 128 << 10, ..GpuLimits::default() }, |gpu| {
        let error = gpu.label_capacity(1 << 18).unwrap_err();
        assert!(matches!(error, GpuError::LayerTooLarge { bytes: 0xe0_0000, most: 0x2_0000, .. }), "{error}");
        let (graph, _) = graph(Profile::Filecoin, 32 << 10);
        let parents = ParentTable::compute(&graph);
        let error = gpu.labels(Profile::Filecoin, parents.rows(), &replica_ids(5)).unwrap_err();
        assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    });
    on_every_adapter(GpuLimits { max_vram: 100 << 10, ..GpuLimits::default() }, |gpu| {
        let error = gpu.label_capacity(1024).unwrap_err();
        assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}");
    });
}

#[test]
fn a_batch_goes_on_from_a_layer_and_survives_a_cancelled_one() {
    #[derive(Debug)]
    struct Stopped;
    impl From<GpuError> for Stopped {
        fn from(error: GpuError) -> Self {
            panic!("{error}")
        }
    }
    on_every_adapter(GpuLimits::default(), |gpu| {
        for profile in Profile::ALL {
            let (graph, _) = graph(profile, 32 << 10);
            let ids = replica_ids(3);
            let layers: Vec<_> = ids.iter().map(|id| expected(profile, &graph, 4, id)).collect();
            let of = |layer: usize| layers.iter().map(|layers| layers[layer - 1].clone()).collect::<Vec<_>>();
            let mut batch = gpu.labels(profile, ParentTable::compute(&graph).rows(), &ids).unwrap();
            assert_eq!(batch.layer(), 0);
            batch.set(2, &of(2)).unwrap();
            assert_eq!(batch.layer(), 2);
            assert!(batch.read().unwrap() == of(2));
            let mut calls = 0;
            batch
                .next_layer(|_| {
                    calls += 1;
                    if calls == 3 { Err(Stopped) } else { Ok(()) }
                })
                .unwrap_err();
            assert_eq!(batch.layer(), 2);
            assert!(batch.read().unwrap() == of(2));
            for layer in 3..=4 {
                batch.next_layer(|_| Ok::<_, GpuError>(())).unwrap();
                assert!(batch.read().unwrap() == of(layer), "{profile:?}, {layer}");
            }
        }
    });
}

#[test]
fn a_lost_device_labels_nothing() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        let (graph, _) = graph(Profile::Filecoin, 2 << 10);
        let parents = ParentTable::compute(&graph);
        let mut batch = gpu.labels(Profile::Filecoin, parents.rows(), &replica_ids(2)).unwrap();
        gpu.device().destroy();
        let error = batch.next_layer(|_| Ok::<_, GpuError>(())).unwrap_err();
        assert!(matches!(error, GpuError::Lost { .. }), "{error}");
        assert!(batch.read().is_err());
        assert!(gpu.labels(Profile::Filecoin, parents.rows(), &replica_ids(2)).is_err());
    });
}

fn check_encoding(gpu: &Gpu, count: usize) {
    let values = nodes(count);
    // Keys fall on other places than values, the edges on each other.
    let keys: Vec<_> = nodes(count + 100).into_iter().skip(96 + count % 3).take(count).collect();
    let pairs = || values.iter().zip(&keys);
    let mut encoded = values.clone();
    gpu.encode(&mut encoded, &keys).unwrap();
    assert!(encoded.iter().eq(pairs().map(|(value, key)| encode_node(value, key).unwrap()).collect::<Vec<_>>().iter()));
    let mut decoded = values.clone();
    gpu.decode(&mut decoded, &keys).unwrap();
    assert!(decoded.iter().eq(pairs().map(|(value, key)| decode_node(value, key).unwrap()).collect::<Vec<_>>().iter()));
    gpu.decode(&mut encoded, &keys).unwrap();
    assert!(encoded == values);
}

#[test]
fn encoding_is_the_cpus_at_awkward_sizes() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        [0, 1, 2, 63, 64, 65, 257, 5000, 5001].into_iter().for_each(|count| check_encoding(&gpu, count));
    });
    on_every_adapter(GpuLimits { max_vram: 1 << 16, max_binding: 128 << 10, form: None }, |gpu| {
        [3000, 3001].into_iter().for_each(|count| check_encoding(&gpu, count));
    });
}
