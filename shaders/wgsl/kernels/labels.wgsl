// Labels of consecutive nodes in one layer of many sectors of the same graph: one invocation for each sector. Nodes are
// stored as eight words that are big-endian in bytes, and all sectors' labels of a node are side by side. Node 0 has no
// parents, and is not for this kernel. CPU twin: porep/labels.rs.

// The first node and how many there are; the layer, from 1; sectors in memory, and the first and the number of those
// that this dispatch labels.
struct Params {
    node: u32,
    nodes: u32,
    layer: u32,
    stride: u32,
    sector: u32,
    sectors: u32,
}

struct Node {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

@group(0) @binding(0) var<storage, read> constants: array<u32>;
// Fourteen to a node: six of the same layer, eight of the layer before.
@group(0) @binding(1) var<storage, read> parents: array<u32>;
@group(0) @binding(2) var<storage, read> replica_ids: array<Node>;
@group(0) @binding(3) var<storage, read> previous: array<Node>;
@group(0) @binding(4) var<storage, read_write> labels: array<Node>;
var<immediate> params: Params;

// Places of parents before they repeat.
fn parents_of_layer() -> u32 {
    return select(14u, 6u, params.layer == 1u);
}

fn parent(sector: u32, node: u32, place: u32) -> Node {
    let at = parents[14u * node + place] * params.stride + sector;
    if place < 6u {
        return labels[at];
    }
    return previous[at];
}

#import hash/label

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.sectors {
        return;
    }
    let sector = params.sector + id.x;
    for (var node = params.node; node < params.node + params.nodes; node++) {
        labels[node * params.stride + sector] = label(sector, node);
    }
}
