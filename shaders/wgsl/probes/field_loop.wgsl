// Many products of Fr to each invocation, one after the other: how fast a form of elements is.
#import field/fr

@group(0) @binding(0) var<storage, read> turns: array<u32>;
@group(0) @binding(1) var<storage, read> elements: array<Fr>;
@group(0) @binding(2) var<storage, read_write> powers: array<Fr>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&elements) {
        return;
    }
    let x = elements[id.x];
    var power = x;
    for (var i = 0u; i < turns[0]; i++) {
        power = fr_mul(power, x);
    }
    powers[id.x] = power;
}
