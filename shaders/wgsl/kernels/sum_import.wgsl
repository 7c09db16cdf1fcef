// Points as parameter files have them become points of the other kernels, in place: coordinates big-endian, c1 before
// c0. A coordinate that is not canonical (as with any flag set) or a point that is not on the curve `y² = x³ + b` makes
// itself known; the identity is among these. CPU twin: `decode` in backend/cpu/curve.rs.
#import field/fx
#import curve/point

struct Params {
    // The first point of this dispatch and how many there are.
    first: u32,
    points: u32,
}

@group(0) @binding(0) var<storage, read_write> points: array<Point>;
// The least index of a bad point.
@group(0) @binding(1) var<storage, read_write> bad: array<atomic<u32>>;
var<immediate> params: Params;

fn bytes_turned(word: vec4<u32>) -> vec4<u32> {
    let halves = (word << vec4<u32>(16u)) | (word >> vec4<u32>(16u));
    return (((halves & vec4<u32>(0x00ff00ffu)) << vec4<u32>(8u)) | ((halves >> vec4<u32>(8u)) & vec4<u32>(0x00ff00ffu))).wzyx;
}

fn from_bytes(raw: Fq) -> Fq {
    return Fq(bytes_turned(raw.hi), bytes_turned(raw.mid), bytes_turned(raw.lo));
}

fn is_canonical(x: Fq) -> bool {
    return fq_equal(fq_less_p(x), x);
}

fn into_domain(x: Fq) -> Fq {
    return fq_less_p(fq_mul(x, fq_radix()));
}

#ifdef G2
fn decoded(raw: Fx) -> Fx {
    return Fx(from_bytes(raw.c1), from_bytes(raw.c0));
}

fn are_canonical(x: Fx) -> bool {
    return is_canonical(x.c0) && is_canonical(x.c1);
}

fn imported(x: Fx) -> Fx {
    return Fx(into_domain(x.c0), into_domain(x.c1));
}

fn constant() -> Fx {
    return Fx(fq_four(), fq_four());
}
#else
fn decoded(raw: Fx) -> Fx {
    return from_bytes(raw);
}

fn are_canonical(x: Fx) -> bool {
    return is_canonical(x);
}

fn imported(x: Fx) -> Fx {
    return into_domain(x);
}

fn constant() -> Fx {
    return fq_four();
}
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.points {
        return;
    }
    let index = params.first + id.x;
    let raw = points[index];
    let read = Point(decoded(raw.x), decoded(raw.y));
    let point = Point(imported(read.x), imported(read.y));
    points[index] = point;
    // x², x³ and y² in turn, so that there is one place of multiplication.
    var left = point.x;
    var right = point.x;
    var cube = point.x;
    var product = point.x;
    for (var turn = 0u; turn < 3u; turn++) {
        product = fx_mul(left, right);
        if turn == 0u {
            left = product;
        }
        if turn == 1u {
            cube = product;
            left = point.y;
            right = point.y;
        }
    }
    let difference = fx_less_p(fx_sub(fx_sub(product, cube), constant()));
    if !(are_canonical(read.x) && are_canonical(read.y) && fx_is_zero(difference)) {
        atomicMin(&bad[0], index);
    }
}
