// One difference, square and negative of Fr to each invocation, and what comparisons say.
#import field/fr

@group(0) @binding(0) var<storage, read> left: array<Fr>;
@group(0) @binding(1) var<storage, read> right: array<Fr>;
// Four for each pair: x − y, x²/R, p − x for x made canonical, and R; but R² where x = y, and 4R where x is zero.
@group(0) @binding(2) var<storage, read_write> results: array<Fr>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&left) {
        return;
    }
    let x = left[id.x];
    let y = right[id.x];
    results[4u * id.x] = fr_sub(x, y);
    results[4u * id.x + 1u] = fr_square(x);
    results[4u * id.x + 2u] = fr_negated(fr_less_p(x));
    let chosen = fr_select(fr_one(), fr_radix(), fr_equal(x, y));
    results[4u * id.x + 3u] = fr_select(chosen, fr_four(), fr_is_zero(x));
}
