// Last part of adding pairs: one invocation for each chain, backwards. From the inverse of the chain's product to that of
// each divisor, and with it the slope λ of the line through both points: `x₃ = λ² − x₁ − x₂`, `y₃ = λ·(x₁ − x₃) − y₁`.
#import field/fx
#import curve/point

struct Params {
    pairs: u32,
    chains: u32,
    // Where the first sum goes.
    first: u32,
}

@group(0) @binding(0) var<storage, read> pairs: array<vec2<u32>>;
// As sum_divisors leaves it, the chains' products inverted.
@group(0) @binding(1) var<storage, read> scratch: array<Fq>;
@group(0) @binding(2) var<storage, read_write> points: array<Point>;
var<immediate> params: Params;

#import curve/pair
#import curve/sum

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
        let kind = kind_of(pair, x1, x2);
        let d = divisor(pair, x1, x2, kind);
        let norm = fx_norm(d);
        let inverted = fq_mul(inverse, scratch[at]);
        inverse = fq_mul(inverse, norm);
        points[params.first + at] = sum_of(pair, x1, x2, kind, fx_inverse(d, inverted));
    }
}
