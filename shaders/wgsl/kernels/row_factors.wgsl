// Multiplies the elements of rows by powers of a number of the row's own: element i by low[i mod 2^split_log2] and by
// high[i / 2^split_log2]. CPU twin: backend/cpu/ntt.rs.
#import field/fr

// The number of elements; of a row 2^row_log2; whether they have to be canonical afterwards.
struct Params { count: u32, row_log2: u32, split_log2: u32, canonical: u32 }

// Of each row low, then high.
@group(0) @binding(0) var<storage, read> factors: array<Fr>;
// Below 2p.
@group(0) @binding(1) var<storage, read_write> values: array<Fr>;
var<immediate> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.count {
        return;
    }
    let lows = 1u << params.split_log2;
    let highs = 1u << (params.row_log2 - params.split_log2);
    let row = (id.x >> params.row_log2) * (lows + highs);
    let place = id.x & ((1u << params.row_log2) - 1u);
    let low = factors[row + (place & (lows - 1u))];
    let high = factors[row + lows + (place >> params.split_log2)];
    var x = fr_mul(fr_mul(values[id.x], low), high);
    if params.canonical != 0u {
        x = fr_less_p(x);
    }
    values[id.x] = x;
}
