// Counts to the number that is given: a driver that gives up early returns less.
@group(0) @binding(0) var<storage, read> turns: array<u32>;
@group(0) @binding(1) var<storage, read_write> counted: array<u32>;

@compute @workgroup_size(1)
fn main() {
    var count = 0u;
    for (var i = 0u; i < turns[0]; i++) {
        // Not a sum that a compiler could work out.
        count = (count ^ i) + 1u;
    }
    counted[0] = count;
}
