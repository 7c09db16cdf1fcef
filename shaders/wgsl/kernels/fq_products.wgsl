// Products of chains of elements, which are `chains` apart: one invocation for each chain. The first half of inverting
// many elements at the price of one.
#import field/fq

struct Params {
    // The first element and how many there are.
    first: u32,
    elements: u32,
    chains: u32,
}

// The elements, then of each the product before it, then of each chain the whole product.
@group(0) @binding(0) var<storage, read_write> scratch: array<Fq>;
var<immediate> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let chain = id.x;
    if chain >= params.chains {
        return;
    }
    let befores = params.first + params.elements;
    var product = fq_one();
    for (var at = chain; at < params.elements; at += params.chains) {
        scratch[befores + at] = product;
        product = fq_mul(product, scratch[params.first + at]);
    }
    scratch[befores + params.elements + chain] = product;
}
