// Sums of values and keys modulo r, or differences, one to each invocation; canonical in and out. CPU twin:
// porep/encode.rs.
#import field/fr

// The number of values.
struct Params { values: u32 }

// The values, then the keys.
@group(0) @binding(0) var<storage, read> inputs: array<Fr>;
@group(0) @binding(1) var<storage, read_write> results: array<Fr>;
var<immediate> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.values {
        return;
    }
    let value = inputs[id.x];
    let key = inputs[params.values + id.x];
#ifdef DECODE
    // x + (2r − y) modulo 2r is x − y or x − y + 2r.
    results[id.x] = fr_less_p(fr_add(value, fr_minus(key)));
#else
    results[id.x] = fr_less_p(fr_add(value, key));
#endif
}
