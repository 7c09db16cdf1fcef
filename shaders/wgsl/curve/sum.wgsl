// The sum of a pair from the inverse of its divisor.
fn sum_of(pair: vec2<u32>, x1: Fx, x2: Fx, kind: u32, inverse: Fx) -> Point {
    let y1 = ordinate(pair.x);
    let y2 = ordinate(pair.y);
    var dividend = fx_sub(y2, y1);
    var factor = inverse;
    if kind == DOUBLE {
        dividend = x1;
        factor = x1;
    }
    // Products in turn: 3x₁², for doubling alone; the slope; its square; and that of y₃.
    var turn = select(1u, 0u, kind == DOUBLE);
    var x3 = x1;
    var product = x1;
    for (; turn < 4u; turn++) {
        product = fx_mul(dividend, factor);
        if turn == 0u {
            dividend = fx_add(fx_add(product, product), product);
            factor = inverse;
        }
        if turn == 1u {
            dividend = product;
            factor = product;
        }
        if turn == 2u {
            x3 = fx_less_p(fx_sub(fx_sub(product, x1), x2));
            factor = fx_sub(x1, x3);
        }
    }
    let y3 = fx_less_p(fx_sub(product, y1));
    if kind == CANCEL {
        return Point(Fx(), Fx());
    }
    if kind == TAKE_SECOND {
        return Point(x2, y2);
    }
    if kind == TAKE_FIRST {
        return Point(x1, y1);
    }
    return Point(x3, y3);
}
