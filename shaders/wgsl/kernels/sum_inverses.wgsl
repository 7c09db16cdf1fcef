// Where an addition takes three parts, the middle one: one invocation for each chain, backwards. From the inverse of the
// chain's product to those of the norms of its divisors, in the places of the products before them.
#import field/fx
#import curve/point

struct Params {
    pairs: u32,
    chains: u32,
}

@group(0) @binding(0) var<storage, read> points: array<Point>;
@group(0) @binding(1) var<storage, read> pairs: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> scratch: array<Fq>;
var<immediate> params: Params;

#import curve/pair

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chain = id.x;
    if chain >= params.chains {
        return;
    }
    var inverse = scratch[params.pairs + chain];
    let turns = (params.pairs - chain + params.chains - 1u) / params.chains;
    for (var turn = turns; turn > 0u; turn--) {
        let at = chain + (turn - 1u) * params.chains;
        let pair = pairs[at];
        let x1 = abscissa(pair.x);
        let x2 = abscissa(pair.y);
        let norm = fx_norm(divisor(pair, x1, x2, kind_of(pair, x1, x2)));
        scratch[at] = fq_mul(inverse, scratch[at]);
        inverse = fq_mul(inverse, norm);
    }
}
