// One product, sum, difference and canonical form of Fq to each invocation.
#import field/fq

@group(0) @binding(0) var<storage, read> left: array<Fq>;
@group(0) @binding(1) var<storage, read> right: array<Fq>;
// Four for each pair: x·y/R, x + y, 2p − y, x made canonical.
@group(0) @binding(2) var<storage, read_write> results: array<Fq>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&left) {
        return;
    }
    let x = left[id.x];
    let y = right[id.x];
    results[4u * id.x] = fq_mul(x, y);
    results[4u * id.x + 1u] = fq_add(x, y);
    results[4u * id.x + 2u] = fq_minus(y);
    results[4u * id.x + 3u] = fq_less_p(x);
}
