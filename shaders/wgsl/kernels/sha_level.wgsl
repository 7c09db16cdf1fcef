// One level of TreeD: one invocation for each parent. CPU twin: backend/cpu/trees.rs.

// The number of parents that this dispatch computes.
struct Params { parents: u32 }

@group(0) @binding(0) var<storage, read> constants: array<u32>;
@group(0) @binding(1) var<storage, read> children: array<Node>;
@group(0) @binding(2) var<storage, read_write> parents: array<Node>;
var<immediate> params: Params;

#import hash/sha256

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let parent = id.x;
    if parent >= params.parents {
        return;
    }
    var node = sha256_pair(children[2u * parent], children[2u * parent + 1u]);
    // The last byte's two highest bits, so that the node is a field element.
    node.hi.w &= 0x3fffffffu;
    parents[parent] = node;
}
