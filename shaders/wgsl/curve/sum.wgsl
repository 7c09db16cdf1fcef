// The sum of a pair from the inverse of its divisor. As little as can be is kept in registers at a time.
fn sum_of(pair: vec2<u32>, x1: Fx, x2: Fx, kind: u32, inverse: Fx) -> Point {
    let y1 = ordinate(pair.x);
    let y2 = ordinate(pair.y);
    if kind == CANCEL {
        return Point(Fx(), Fx());
    }
    if kind == TAKE_SECOND {
        return Point(x2, y2);
    }
    if kind == TAKE_FIRST {
        return Point(x1, y1);
    }
    var left = fx_sub(y2, y1);
    if kind == DOUBLE {
        let square = fx_square(x1);
        left = fx_add(fx_add(square, square), square);
    }
#ifdef G2
    // Products in turn, so that there is one place of multiplication: the slope, its square, and that of y₃.
    var right = inverse;
    var x3 = x1;
    for (var turn = 0u; turn < 3u; turn++) {
        let product = fx_mul(left, right);
        if turn == 0u {
            left = product;
            right = product;
        }
        if turn == 1u {
            x3 = fx_less_p(fx_sub(fx_sub(product, x1), x2));
            right = fx_sub(x1, x3);
        }
        if turn == 2u {
            left = product;
        }
    }
    return Point(x3, fx_less_p(fx_sub(left, y1)));
#else
    let slope = fx_mul(left, inverse);
    let x3 = fx_less_p(fx_sub(fx_sub(fx_square(slope), x1), x2));
    return Point(x3, fx_less_p(fx_sub(fx_mul(slope, fx_sub(x1, x3)), y1)));
#endif
}
