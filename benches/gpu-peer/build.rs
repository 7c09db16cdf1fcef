//! The OpenCL source of the reference's transforms and sums, as its own library generates it.

use blstrs::{Fp, Fp2, G1Affine, G2Affine, Scalar};
use ec_gpu_gen::SourceBuilder;

fn main() {
    let source = SourceBuilder::new();
    let source = source.add_fft::<Scalar>().add_multiexp::<G1Affine, Fp>().add_multiexp::<G2Affine, Fp2>();
    ec_gpu_gen::generate(&source);
}
