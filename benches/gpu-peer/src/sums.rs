//! Sums of multiples of points with random scalars, against ec-gpu-gen.

use blstrs::{G1Affine, G2Affine, Scalar};
use ec_gpu::GpuName;
use ec_gpu_gen::multiexp::SingleMultiexpKernel;
use ff::PrimeField;
use filecash_engine::backend::gpu::{GpuError, Team};
use filecash_engine::backend::points::PointBlock;
use group::prime::PrimeCurveAffine;
use group::{Curve, Group, UncompressedEncoding};

use crate::{elements, in_turn, opencl_device, program, timed};

/// Binary logarithms of the numbers of points.
const G1_SIZES: [u32; 2] = [14, 16];
const G2_SIZES: [u32; 1] = [12];

pub fn compare(team: &Team) -> anyhow::Result<()> {
    let gpu = &team.members()[0].worker;
    compare_in::<G1Affine>("G1", &G1_SIZES, |block| gpu.sum_g1(block))?;
    compare_in::<G2Affine>("G2", &G2_SIZES, |block| gpu.sum_g2(block))
}

fn compare_in<A>(
    group: &str,
    sizes: &[u32],
    sum: impl Fn(&PointBlock) -> Result<A::Curve, GpuError>,
) -> anyhow::Result<()>
where
    A: PrimeCurveAffine<Scalar = Scalar> + GpuName + UncompressedEncoding,
    A::Curve: Curve<AffineRepr = A>,
{
    let kernel = SingleMultiexpKernel::<A>::create(program()?, opencl_device()?, None)?;
    for log2 in sizes {
        let scalars: Vec<Scalar> = elements().take(1 << log2).collect();
        let points = points::<A>(1 << log2);
        // Ours decodes points and checks that they are on the curve; the reference is given what it has decoded before.
        let bytes: Vec<u8> = points.iter().flat_map(|point| point.to_uncompressed().as_ref().to_vec()).collect();
        let block = PointBlock {
            bytes: bytes.into(),
            multiples: (0..1 << log2).collect(),
            scalars: scalars.clone(),
            ..PointBlock::default()
        };
        let exponents: Vec<_> = scalars.iter().map(Scalar::to_repr).collect();
        let ours = || {
            let (cost, result) = timed(|| sum(&block));
            Ok((cost, result?))
        };
        let theirs = || {
            let (cost, result) = timed(|| kernel.multiexp(&points, &exponents));
            Ok((cost, result?))
        };
        in_turn(&format!("sum of 2^{log2} in {group}, ms"), 1e-3, ours, theirs)?;
    }
    Ok(())
}

/// Different points of a group.
fn points<A>(count: usize) -> Vec<A>
where
    A: PrimeCurveAffine<Scalar = Scalar>,
    A::Curve: Curve<AffineRepr = A>,
{
    let step = A::Curve::generator() * elements().nth(100).unwrap_or_default();
    let points: Vec<_> = std::iter::successors(Some(step.double()), |point| Some(*point + step)).take(count).collect();
    let mut affine = vec![A::identity(); count];
    A::Curve::batch_normalize(&points, &mut affine);
    affine
}
