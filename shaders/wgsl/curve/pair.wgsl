// Two points to be added, out of a buffer `points`: the index of each, negated where the highest bit is set.
const NEGATIVE = 0x80000000u;

// What is to be done for a pair.
const ADD = 0u;
const DOUBLE = 1u;
const TAKE_SECOND = 2u;
const TAKE_FIRST = 3u;
const CANCEL = 4u;

fn abscissa(item: u32) -> Fx {
    return points[item & ~NEGATIVE].x;
}

fn ordinate(item: u32) -> Fx {
    let y = points[item & ~NEGATIVE].y;
    return fx_select(y, fx_negated(y), item >= NEGATIVE);
}

fn kind_of(pair: vec2<u32>, x1: Fx, x2: Fx) -> u32 {
    let are_equal = fx_equal(x1, x2);
    // All else is rare, and has need of the ordinates.
    if !(are_equal || fx_is_zero(x1) || fx_is_zero(x2)) {
        return ADD;
    }
    let y1 = ordinate(pair.x);
    let y2 = ordinate(pair.y);
    if fx_is_zero(y1) {
        return TAKE_SECOND;
    }
    if fx_is_zero(y2) {
        return TAKE_FIRST;
    }
    if !are_equal {
        return ADD;
    }
    return select(CANCEL, DOUBLE, fx_equal(y1, y2));
}

// What the slope is divided by, and one where there is none; never zero.
fn divisor(pair: vec2<u32>, x1: Fx, x2: Fx, kind: u32) -> Fx {
    var d = fx_sub(x2, x1);
    if kind != ADD {
        let y1 = ordinate(pair.x);
        d = fx_select(fx_one(), fx_add(y1, y1), kind == DOUBLE);
    }
    return d;
}
