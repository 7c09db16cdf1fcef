//! The shaders' field arithmetic by itself, against big integers.

use filecash_engine::backend::gpu::{Gpu, GpuLimits};
use filecash_shaders::field::Field;
use num_bigint::BigUint;

use crate::on_every_adapter;

/// Elements below 2p: those at the edges, and computed ones.
fn elements(field: Field, p: &BigUint) -> Vec<BigUint> {
    let one = BigUint::from(1_u8);
    let mut elements = vec![
        BigUint::ZERO,
        one.clone(),
        p - &one,
        p.clone(),
        p + &one,
        p * 2_u8 - &one,
        (&one << (field.words() * 32 - 8)) - &one,
    ];
    let factor = BigUint::parse_bytes(b"9e3779b97f4a7c15f39cc0605cedc8341082276bf3a27251f86c6a11d0c18e95", 16).unwrap();
    elements.extend((1_u32..58).map(|i| (&factor * &factor).pow(i % 5 + 1) * i % (p * 2_u8)));
    elements
}

fn words(x: &BigUint, field: Field) -> Vec<u32> {
    let mut words = x.to_u32_digits();
    assert!(words.len() <= field.words());
    words.resize(field.words(), 0);
    words
}

fn check(gpu: &Gpu, field: Field) {
    let p = BigUint::new(field.modulus().to_vec());
    let twice = &p * 2_u8;
    let elements = elements(field, &p);
    let pairs: Vec<_> = elements.iter().flat_map(|x| elements.iter().map(move |y| (x, y))).collect();
    let left: Vec<_> = pairs.iter().flat_map(|(x, _)| words(x, field)).collect();
    let right: Vec<_> = pairs.iter().flat_map(|(_, y)| words(y, field)).collect();
    let results = gpu.probe(field, &left, &right).unwrap();
    let radix = BigUint::from(1_u8) << (field.limbs(gpu.device().form) * field.limb_bits(gpu.device().form) as usize);
    for ((x, y), results) in pairs.iter().zip(results.chunks_exact(4 * field.words())) {
        let [product, sum, negated, reduced] =
            std::array::from_fn(|i| BigUint::new(results[i * field.words()..(i + 1) * field.words()].to_vec()));
        assert!(product < twice && &product * &radix % &p == *x * *y % &p, "{field:?}: {x:x} · {y:x} gave {product:x}");
        assert_eq!(sum, (*x + *y) % &twice, "{field:?}: {x:x} + {y:x}");
        assert_eq!(negated, &twice - *y, "{field:?}: −{y:x}");
        assert_eq!(reduced, if **x >= p { *x - &p } else { (*x).clone() }, "{field:?}: {x:x}");
    }
}

fn check_more(gpu: &Gpu, field: Field) {
    let p = BigUint::new(field.modulus().to_vec());
    let twice = &p * 2_u8;
    // Sums of sums are not among what the rest of the functions take.
    let elements: Vec<_> = elements(field, &p).into_iter().filter(|x| *x < twice).collect();
    let pairs: Vec<_> = elements.iter().flat_map(|x| elements.iter().map(move |y| (x, y))).collect();
    // Whole nodes.
    let pairs = &pairs[..pairs.len() / 8 * 8];
    let left: Vec<_> = pairs.iter().flat_map(|(x, _)| words(x, field)).collect();
    let right: Vec<_> = pairs.iter().flat_map(|(_, y)| words(y, field)).collect();
    let results = gpu.probe_more(field, &left, &right).unwrap();
    let radix = BigUint::from(1_u8) << field.radix_bits(gpu.device().form);
    for ((x, y), results) in pairs.iter().zip(results.chunks_exact(4 * field.words())) {
        let [difference, square, negated, chosen] =
            std::array::from_fn(|i| BigUint::new(results[i * field.words()..(i + 1) * field.words()].to_vec()));
        assert_eq!(difference, if x >= y { *x - *y } else { &twice + *x - *y }, "{field:?}: {x:x} − {y:x}");
        assert!(square < twice && &square * &radix % &p == *x * *x % &p, "{field:?}: {x:x}² gave {square:x}");
        assert_eq!(negated, (&p - *x % &p) % &p, "{field:?}: −{x:x}");
        let expected = match **x == BigUint::ZERO {
            true => &radix * 4_u8,
            false if x == y => &radix * &radix,
            false => radix.clone(),
        };
        assert_eq!(chosen, expected % &p, "{field:?}: {x:x}, {y:x}");
    }
}

#[test]
fn field_arithmetic_is_that_of_big_integers() {
    on_every_adapter(GpuLimits::default(), |gpu| {
        for field in Field::ALL {
            check(&gpu, field);
            check_more(&gpu, field);
        }
    });
}
