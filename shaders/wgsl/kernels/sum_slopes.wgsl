// Where an addition takes three parts, the last one: one invocation for each pair, from the inverse of its divisor's norm.
#import field/fx
#import curve/point

struct Params {
    pairs: u32,
    // Where the first sum goes.
    first: u32,
}

@group(0) @binding(0) var<storage, read> pairs: array<vec2<u32>>;
// As sum_inverses leaves it.
@group(0) @binding(1) var<storage, read> scratch: array<Fq>;
@group(0) @binding(2) var<storage, read_write> points: array<Point>;
var<immediate> params: Params;

#import curve/pair
#import curve/sum

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.pairs {
        return;
    }
    let pair = pairs[id.x];
    let x1 = abscissa(pair.x);
    let x2 = abscissa(pair.y);
    let kind = kind_of(pair, x1, x2);
    let inverse = fx_inverse(divisor(pair, x1, x2, kind), scratch[id.x]);
    points[params.first + id.x] = sum_of(pair, x1, x2, kind, inverse);
}
