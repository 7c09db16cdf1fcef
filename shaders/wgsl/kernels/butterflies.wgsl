// Two levels of butterflies over the blocks of an array, in place, or one: an invocation for every four values, or two.
// The array is of vectors one after the other, or of 2^width_log2 vectors that are interleaved. CPU twin:
// backend/cpu/ntt.rs.
#import field/fr

// The number of invocations; the levels are of blocks of 2h values, h = 2^half_log2, and of 4h; whether values have to be
// canonical afterwards.
struct Params { count: u32, half_log2: u32, width_log2: u32, canonical: u32 }

// Entry h + j is for blocks of 2h values and j < h.
@group(0) @binding(0) var<storage, read> factors: array<Fr>;
// Below 2p.
@group(0) @binding(1) var<storage, read_write> values: array<Fr>;
var<immediate> params: Params;

fn difference(x: Fr, y: Fr) -> Fr {
    return fr_add(x, fr_minus(y));
}

fn keep(at: u32, x: Fr) {
    if params.canonical != 0u {
        values[at] = fr_less_p(x);
    } else {
        values[at] = x;
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.count {
        return;
    }
    let half = 1u << params.half_log2;
    let distance_log2 = params.half_log2 + params.width_log2;
    let distance = 1u << distance_log2;
    let place = id.x & (distance - 1u);
    let factor = half + (place >> params.width_log2);
    let block = id.x >> distance_log2;
#ifdef TWO_LEVELS
    let first = (block << (distance_log2 + 2u)) + place;
    let x0 = values[first];
    let x1 = values[first + distance];
    let x2 = values[first + 2u * distance];
    let x3 = values[first + 3u * distance];
    let f1 = factors[factor];
    let f2 = factors[factor + half];
    let f3 = factors[factor + 2u * half];
#ifdef TIME
    let u1 = fr_mul(x1, f1);
    let u3 = fr_mul(x3, f1);
    let y0 = fr_add(x0, u1);
    let y1 = difference(x0, u1);
    let y2 = fr_mul(fr_add(x2, u3), f2);
    let y3 = fr_mul(difference(x2, u3), f3);
    keep(first, fr_add(y0, y2));
    keep(first + distance, fr_add(y1, y3));
    keep(first + 2u * distance, difference(y0, y2));
    keep(first + 3u * distance, difference(y1, y3));
#else
    let y0 = fr_add(x0, x2);
    let y1 = fr_add(x1, x3);
    let y2 = fr_mul(difference(x0, x2), f2);
    let y3 = fr_mul(difference(x1, x3), f3);
    keep(first, fr_add(y0, y1));
    keep(first + distance, fr_mul(difference(y0, y1), f1));
    keep(first + 2u * distance, fr_add(y2, y3));
    keep(first + 3u * distance, fr_mul(difference(y2, y3), f1));
#endif
#else
    let first = (block << (distance_log2 + 1u)) + place;
    let x0 = values[first];
    let x1 = values[first + distance];
    let f1 = factors[factor];
#ifdef TIME
    let u1 = fr_mul(x1, f1);
    keep(first, fr_add(x0, u1));
    keep(first + distance, difference(x0, u1));
#else
    keep(first, fr_add(x0, x1));
    keep(first + distance, fr_mul(difference(x0, x1), f1));
#endif
#endif
}
