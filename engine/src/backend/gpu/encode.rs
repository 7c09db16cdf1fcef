//! Encoding and decoding of data under a key. CPU twin: `porep::encode`.
//!
//! A sum costs less than moving its operands, so this pays where data is on the device for another reason, or where the
//! processor has other work.

use filecash_shaders::kernels::Kernel;

use super::Gpu;
use super::error::GpuError;
use super::known::PARENTS;
use super::levels::Groups;
use crate::field::Node;
use crate::field::fr::{from_node, to_node};
use crate::sector::params::NODE_SIZE;

/// Both kernels.
pub(super) const KERNELS: [Kernel; 2] = [Kernel::Encode, Kernel::Decode];

impl Gpu {
    /// `values[i] += keys[i]` modulo r, for operands below r.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails; `values` is then partly encoded.
    ///
    /// # Panics
    /// When there is not a key for each value.
    pub fn encode(&self, values: &mut [Node], keys: &[Node]) -> Result<(), GpuError> {
        self.tested_encoding(Kernel::Encode)?;
        self.encoded(Kernel::Encode, values, keys)
    }

    /// `values[i] -= keys[i]` modulo r, for operands below r.
    ///
    /// # Errors
    /// [`GpuError`] when the device fails; `values` is then partly decoded.
    ///
    /// # Panics
    /// When there is not a key for each value.
    pub fn decode(&self, values: &mut [Node], keys: &[Node]) -> Result<(), GpuError> {
        self.tested_encoding(Kernel::Decode)?;
        self.encoded(Kernel::Decode, values, keys)
    }

    fn encoded(&self, kernel: Kernel, values: &mut [Node], keys: &[Node]) -> Result<(), GpuError> {
        assert_eq!(values.len(), keys.len(), "a key for each value");
        let pipeline = self.pipelines.get(&self.device, kernel, Vec::new)?;
        self.levels.run(&self.device, kernel, &pipeline, Groups::InPlace { values, keys })
    }

    /// Has a kernel encode or decode what the CPU knows, unless it has done so before.
    pub(super) fn tested_encoding(&self, kernel: Kernel) -> Result<(), GpuError> {
        self.proven(kernel, || {
            let largest = to_node(&-from_node(&one()).expect("1 is below r"));
            // Sums below r, of r and above, differences below 0, of 0 and above.
            let operand = |i: usize| match i % 4 {
                0 => [0; NODE_SIZE],
                1 => one(),
                2 => largest,
                _ => std::array::from_fn(|byte| if byte == 31 { i as u8 & 0x3f } else { (i * 31 + byte * 7) as u8 }),
            };
            let mut values: Vec<_> = (0..PARENTS).map(operand).collect();
            let keys: Vec<_> = (0..PARENTS).map(|i| operand(i / 4)).collect();
            let element = |node: &Node| from_node(node).expect("operands are below r");
            let expected: Vec<_> = values
                .iter()
                .zip(&keys)
                .map(|(value, key)| match kernel {
                    Kernel::Decode => to_node(&(element(value) - element(key))),
                    _ => to_node(&(element(value) + element(key))),
                })
                .collect();
            self.encoded(kernel, &mut values, &keys)?;
            self.expect(&values, &expected, kernel)
        })
    }
}

fn one() -> Node {
    std::array::from_fn(|byte| u8::from(byte == 0))
}
