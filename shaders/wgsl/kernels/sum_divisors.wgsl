// First part of adding pairs: one invocation for each chain of pairs, which are `chains` apart. Leaves the product of the
// divisors of a chain before each pair, and of all of them.
#import field/fx
#import curve/point

struct Params {
    pairs: u32,
    chains: u32,
}

@group(0) @binding(0) var<storage, read> points: array<Point>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2<u32>>;
// Of each pair the product before it, then of each chain the whole product.
@group(0) @binding(2) var<storage, read_write> scratch: array<Fq>;
var<immediate> params: Params;

#import curve/pair

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chain = id.x;
    if chain >= params.chains {
        return;
    }
    var product = fq_one();
    for (var at = chain; at < params.pairs; at += params.chains) {
        let pair = pairs[at];
        let x1 = abscissa(pair.x);
        let x2 = abscissa(pair.y);
        scratch[at] = product;
        product = fq_mul(product, fx_norm(divisor(pair, x1, x2, kind_of(pair, x1, x2))));
    }
    scratch[params.pairs + chain] = product;
}
