//! Field elements as the memory they are, for files that nobody but this process reads.
//!
//! The form is the curve crate's on this machine: not canonical, not portable.

use blst::blst_fr;

use super::Fr;

// `Fr` is a transparent wrapper of `blst_fr`, four words of 64 bits: no padding, and no bytes that are none.
const _: () = assert!(size_of::<Fr>() == size_of::<[u64; 4]>() && size_of::<blst_fr>() == size_of::<[u64; 4]>());

/// The bytes of elements, 32 each.
#[allow(unsafe_code, reason = "views elements as bytes")]
pub(crate) fn bytes(elements: &[Fr]) -> &[u8] {
    // SAFETY: the memory of elements is initialised words without padding; the view lives as long as they are borrowed.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// The bytes of elements, to be filled with what [`bytes`] gave. Others make elements that are wrong, and nothing worse.
#[allow(unsafe_code, reason = "views elements as bytes")]
pub(crate) fn bytes_mut(elements: &mut [Fr]) -> &mut [u8] {
    // SAFETY: as in `bytes`; any words are values of four words, and nobody else sees the elements meanwhile.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;

    #[test]
    fn elements_come_back() {
        let elements: Vec<Fr> = (0..37).map(|i| Fr::from(i * i) - Fr::from(200)).collect();
        let mut others = vec![Fr::ZERO; elements.len()];
        bytes_mut(&mut others).copy_from_slice(bytes(&elements));
        assert_eq!(others, elements);
        assert_eq!(bytes(&elements[3..5]), &bytes(&elements)[96..160]);
        assert!(bytes(&[]).is_empty());
    }
}
