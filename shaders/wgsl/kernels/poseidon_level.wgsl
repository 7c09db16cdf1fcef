// One level of a Poseidon tree, or columns: one invocation for each parent. CPU twin: backend/cpu/trees.rs.
#import field/fr

// Of the number of parents that this dispatch computes.
struct Params { parents: u32 }

@group(0) @binding(0) var<storage, read> constants: array<u32>;
@group(0) @binding(1) var<storage, read> children: array<Fr>;
@group(0) @binding(2) var<storage, read_write> parents: array<Fr>;
var<immediate> params: Params;

#import hash/poseidon

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let parent = id.x;
    if parent >= params.parents {
        return;
    }
    parents[parent] = poseidon(parent, lane);
}
