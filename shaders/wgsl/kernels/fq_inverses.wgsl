// The second half of inverting many elements: from the inverses of the chains' products, in the places of these, to the
// inverses of the elements, in their places. Layout as in fq_products.
#import field/fq

struct Params {
    first: u32,
    elements: u32,
    chains: u32,
}

@group(0) @binding(0) var<storage, read_write> scratch: array<Fq>;
var<immediate> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chain = id.x;
    if chain >= params.chains {
        return;
    }
    let befores = params.first + params.elements;
    var inverse = scratch[befores + params.elements + chain];
    // Backwards, from the last of this chain.
    let turns = (params.elements - chain + params.chains - 1u) / params.chains;
    for (var turn = turns; turn > 0u; turn--) {
        let at = chain + (turn - 1u) * params.chains;
        let element = scratch[params.first + at];
        scratch[params.first + at] = fq_mul(inverse, scratch[befores + at]);
        inverse = fq_mul(inverse, element);
    }
}
