// 1/x in Montgomery's domain, in place: one invocation for each element. No product: binary steps on pairs (u, r) and
// (v, s), which keep `x·r = ∓u·2^k` and `x·s = ±v·2^k`, until v = 0 and u = 1; then r is doubled until k is R²'s
// exponent. Source: B. Kaliski, "The Montgomery inverse and its applications" (1995).
#import field/fq

struct Params {
    first: u32,
    elements: u32,
}

@group(0) @binding(0) var<storage, read_write> scratch: array<Fq>;
var<immediate> params: Params;

#import field/fq_words

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= params.elements {
        return;
    }
    var u = fq_modulus();
    var v = fq_less_p(scratch[params.first + id.x]);
    var r = Fq();
    var s = Fq();
    s.lo.x = 1u;
    var is_negative = true;
    var exponent = 0u;
    // u stays odd, and v becomes smaller by a bit at least.
    while exponent < MAX_STEPS && !fq_is_zero(v) {
        let is_odd = (v.lo.x & 1u) != 0u;
        let swaps = is_odd && fq_is_less(v, u);
        let larger = fq_select(v, u, swaps);
        u = fq_select(u, v, swaps);
        let other = fq_select(s, r, swaps);
        r = fq_select(r, s, swaps);
        is_negative = is_negative != swaps;
        v = fq_halved(fq_words_sub(larger, fq_select(Fq(), u, is_odd)));
        s = fq_words_add(other, fq_select(Fq(), r, is_odd));
        r = fq_words_add(r, r);
        exponent++;
    }
    // r is below 2p.
    r = fq_less_p(r);
    r = fq_select(r, fq_negated(r), is_negative);
    for (; exponent < RADIX_SQUARED; exponent++) {
        r = fq_less_p(fq_words_add(r, r));
    }
    scratch[params.first + id.x] = r;
}
