// What kernels over either group ask of the field of coordinates, for the prime field itself.

// The norm.
fn fq_norm(x: Fq) -> Fq {
    return x;
}

// 1/x from the inverse of its norm.
fn fq_inverse(x: Fq, norm: Fq) -> Fq {
    return norm;
}
