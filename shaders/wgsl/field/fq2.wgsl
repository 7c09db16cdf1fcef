// The field of coordinates of G2: c0 + c1·u with u² = −1. Ranges are those of the functions of Fq.
#import field/fq

struct Fq2 {
    c0: Fq,
    c1: Fq,
}

fn fq2_add(x: Fq2, y: Fq2) -> Fq2 {
    return Fq2(fq_add(x.c0, y.c0), fq_add(x.c1, y.c1));
}

fn fq2_sub(x: Fq2, y: Fq2) -> Fq2 {
    return Fq2(fq_sub(x.c0, y.c0), fq_sub(x.c1, y.c1));
}

// Three products for four: (x0 + x1)·(y0 + y1) has both of those that c1 sums.
fn fq2_mul(x: Fq2, y: Fq2) -> Fq2 {
    let low = fq_mul(x.c0, y.c0);
    let high = fq_mul(x.c1, y.c1);
    let both = fq_mul(fq_add(x.c0, x.c1), fq_add(y.c0, y.c1));
    return Fq2(fq_sub(low, high), fq_sub(fq_sub(both, low), high));
}

// (c0 + c1)·(c0 − c1) and 2·c0·c1.
fn fq2_square(x: Fq2) -> Fq2 {
    let low = fq_mul(fq_add(x.c0, x.c1), fq_sub(x.c0, x.c1));
    return Fq2(low, fq_mul(fq_add(x.c0, x.c0), x.c1));
}

fn fq2_less_p(x: Fq2) -> Fq2 {
    return Fq2(fq_less_p(x.c0), fq_less_p(x.c1));
}

fn fq2_negated(x: Fq2) -> Fq2 {
    return Fq2(fq_negated(x.c0), fq_negated(x.c1));
}

fn fq2_select(x: Fq2, y: Fq2, second: bool) -> Fq2 {
    return Fq2(fq_select(x.c0, y.c0, second), fq_select(x.c1, y.c1, second));
}

fn fq2_equal(x: Fq2, y: Fq2) -> bool {
    return fq_equal(x.c0, y.c0) && fq_equal(x.c1, y.c1);
}

fn fq2_is_zero(x: Fq2) -> bool {
    return fq_is_zero(x.c0) && fq_is_zero(x.c1);
}

fn fq2_one() -> Fq2 {
    return Fq2(fq_one(), Fq());
}

// x times its conjugate, which is zero for zero alone.
fn fq2_norm(x: Fq2) -> Fq {
    return fq_add(fq_square(x.c0), fq_square(x.c1));
}

// 1/x from the inverse of its norm: the conjugate times that.
fn fq2_inverse(x: Fq2, norm: Fq) -> Fq2 {
    return Fq2(fq_mul(x.c0, norm), fq_mul(fq_minus(x.c1), norm));
}
