//! Kernels in this process, ours and those that the reference computes with, in turn on the same operands.
//!
//! The first run of each is compared and not counted: nothing is timed whose result differs. Later results are compared
//! too, outside of what is timed.

mod poseidon;
mod sums;
mod transforms;

use std::iter;
use std::thread::available_parallelism;

use anyhow::{Result, ensure};
use ec_gpu_gen::threadpool::Worker;
use ff::Field;
use filecash_engine::field::Fr;

use crate::usage::Usage;

/// A call of a kernel: prepares what it will use up, times the rest, and hands back what it made.
type Kernel<'a, T> = dyn FnMut() -> Result<(Usage, T)> + 'a;

/// Runs kernels in turn, `runs` times and once before that.
fn in_turn<T: Clone + PartialEq, const N: usize>(
    what: &str,
    runs: usize,
    mut kernels: [&mut Kernel<'_, T>; N],
) -> Result<[Vec<Usage>; N]> {
    let mut usages = [const { Vec::new() }; N];
    let mut expected = None;
    for run in 0..=runs {
        for (kernel, usages) in kernels.iter_mut().zip(&mut usages) {
            let (usage, result) = kernel()?;
            ensure!(*expected.get_or_insert_with(|| result.clone()) == result, "{what}: results differ");
            if run > 0 {
                usages.push(usage);
            }
        }
    }
    Ok(usages)
}

/// Every library must find as many threads as both sides are to have; each has settings of its own, and only the
/// processors that a process may use count for all.
fn check_threads(threads: usize) -> Result<()> {
    let reference = 1 << Worker::new().log_num_threads();
    let found = [available_parallelism()?.get(), rayon::current_num_threads(), reference];
    ensure!(
        found == [threads; 3],
        "kernels run on as many threads as there are processors, here {found:?}: give --threads a power of two, and \
         the process as many processors (taskset -c 0-{})",
        threads.saturating_sub(1)
    );
    Ok(())
}

/// Field elements without a pattern.
fn elements() -> impl Iterator<Item = Fr> {
    iter::successors(Some(Fr::from(3)), |element| Some(element.square() - Fr::from(5))).skip(10)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::compare::measures::Plan;
    use crate::compare::program::Programs;

    #[test]
    fn what_differs_is_not_timed() {
        let run = |number: usize| move || Ok(Usage::of(|| number)?);
        let [ours, reference] = in_turn("seven", 2, [&mut run(7), &mut run(7)]).unwrap();
        assert_eq!([ours.len(), reference.len()], [2, 2]);
        let error = in_turn("seven", 0, [&mut run(7), &mut run(8)]).unwrap_err();
        assert_eq!(error.to_string(), "seven: results differ");
    }

    #[test]
    fn both_sides_of_every_kernel_agree() {
        let nothing = PathBuf::new();
        let (ours, reference, shared) = (nothing.clone(), nothing.clone(), nothing.clone());
        let programs = Programs { ours, reference, threads: 1, shared };
        let plan = Plan { programs, work: nothing.clone(), params: nothing, size: None, runs: 1 };
        let rows = [plan.poseidon().unwrap(), plan.transform(11).unwrap(), plan.sums(8).unwrap()].concat();
        assert_eq!(rows.len(), 4 + 2 + 6);
        assert!(rows.iter().all(|row| row.ours.len() == 1 && row.reference.len() == 1));
    }
}
