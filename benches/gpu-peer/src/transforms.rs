//! Transforms from coefficients to values at the roots of unity, against ec-gpu-gen.

use blstrs::Scalar;
use ec_gpu_gen::fft::SingleFftKernel;
use filecash_engine::backend::Backend as _;
use filecash_engine::backend::cpu::ntt::{Domain, Points, Transform};
use filecash_engine::backend::gpu::Team;

use crate::{elements, in_turn, program, timed};

/// Binary logarithms of the numbers of points.
const SIZES: [u32; 3] = [14, 16, 18];

pub fn compare(team: &Team) -> anyhow::Result<()> {
    let mut kernel = SingleFftKernel::<Scalar>::create(program()?, None)?;
    for log2 in SIZES {
        let domain = Domain::at_least(1 << log2)?;
        let coefficients: Vec<Scalar> = elements().take(domain.size()).collect();
        // Each side takes coefficients in the order that its prover keeps them in.
        let reversed: Vec<Scalar> = (0..domain.size()).map(|place| coefficients[domain.reversed(place)]).collect();
        let ours = || {
            let mut values = reversed.clone();
            let (cost, done) = timed(|| team.transform(&domain, &mut values, &[Transform::Evaluate(Points::Roots)]));
            done?;
            Ok((cost, values))
        };
        let theirs = || {
            let mut values = coefficients.clone();
            let (cost, done) = timed(|| kernel.radix_fft(&mut values, &domain.root(), log2));
            done?;
            Ok((cost, values))
        };
        in_turn(&format!("transform of 2^{log2}, ms"), 1e-3, ours, theirs)?;
    }
    Ok(())
}
