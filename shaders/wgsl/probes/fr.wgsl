// One product, sum, difference and canonical form of Fr to each invocation.
#import field/fr

@group(0) @binding(0) var<storage, read> left: array<Fr>;
@group(0) @binding(1) var<storage, read> right: array<Fr>;
// Four for each pair: x·y/R, x + y, 2p − y, x made canonical.
@group(0) @binding(2) var<storage, read_write> results: array<Fr>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&left) {
        return;
    }
    let x = left[id.x];
    let y = right[id.x];
    results[4u * id.x] = fr_mul(x, y);
    results[4u * id.x + 1u] = fr_add(x, y);
    results[4u * id.x + 2u] = fr_minus(y);
    results[4u * id.x + 3u] = fr_less_p(x);
}
