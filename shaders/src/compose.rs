//! Puts the text of a kernel together.
//!
//! A line `#import name` stands for the text of a library, the first time that it is asked for; `#ifdef NAME`, `#else`
//! and `#endif` choose lines.

use std::collections::BTreeSet;

/// Why a text cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum ComposeError {
    #[error("no library {0:?}")]
    Unknown(String),
    #[error("line {line}: {directive} without its other part")]
    Unbalanced { line: usize, directive: &'static str },
}

/// Replaces the directives of `text`. `library` gives the text of an import.
///
/// # Errors
/// [`ComposeError`].
pub fn compose(text: &str, defined: &[&str], library: &dyn Fn(&str) -> Option<String>) -> Result<String, ComposeError> {
    let mut out = String::new();
    append(text, defined, library, &mut BTreeSet::new(), &mut out)?;
    Ok(out)
}

fn append(
    text: &str,
    defined: &[&str],
    library: &dyn Fn(&str) -> Option<String>,
    seen: &mut BTreeSet<String>,
    out: &mut String,
) -> Result<(), ComposeError> {
    // Of each choice that a line is within: whether its lines are taken.
    let mut choices: Vec<bool> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let unbalanced = |directive| ComposeError::Unbalanced { line: number + 1, directive };
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("#ifdef"), Some(name)) => choices.push(defined.contains(&name)),
            (Some("#else"), _) => {
                let choice = choices.last_mut().ok_or(unbalanced("#else"))?;
                *choice = !*choice;
            }
            (Some("#endif"), _) => drop(choices.pop().ok_or(unbalanced("#endif"))?),
            _ if choices.contains(&false) => {}
            (Some("#import"), Some(name)) => {
                if seen.insert(name.to_owned()) {
                    let text = library(name).ok_or_else(|| ComposeError::Unknown(name.to_owned()))?;
                    append(&text, defined, library, seen, out)?;
                }
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    match choices.is_empty() {
        true => Ok(()),
        false => Err(ComposeError::Unbalanced { line: text.lines().count(), directive: "#ifdef" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str) -> Option<String> {
        match name {
            "a" => Some("#import b\na".to_owned()),
            "b" => Some("b".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn imports_come_once_and_before_what_asks_for_them() {
        assert_eq!(compose("#import a\n#import b\nx", &[], &library).unwrap(), "b\na\nx\n");
    }

    #[test]
    fn choices_follow_the_names() {
        let text = "#ifdef WIDE\nu64\n#else\nu32\n#import b\n#endif\nx";
        assert_eq!(compose(text, &["WIDE"], &library).unwrap(), "u64\nx\n");
        assert_eq!(compose(text, &[], &library).unwrap(), "u32\nb\nx\n");
        let text = "#ifdef A\n#ifdef B\nab\n#else\na\n#endif\n#else\n#ifdef B\nb\n#endif\n#endif\nx";
        for (defined, expected) in [(&["A", "B"][..], "ab\nx\n"), (&["A"], "a\nx\n"), (&["B"], "b\nx\n"), (&[], "x\n")]
        {
            assert_eq!(compose(text, defined, &library).unwrap(), expected);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| compose(text, &["A"], &library).unwrap_err();
        assert_eq!(error("#import c"), ComposeError::Unknown("c".to_owned()));
        assert_eq!(error("\n#endif"), ComposeError::Unbalanced { line: 2, directive: "#endif" });
        assert_eq!(error("#else"), ComposeError::Unbalanced { line: 1, directive: "#else" });
        assert_eq!(error("#ifdef A\n#ifdef A\n#endif"), ComposeError::Unbalanced { line: 3, directive: "#ifdef" });
        assert_eq!(error("#ifdef A\nx"), ComposeError::Unbalanced { line: 2, directive: "#ifdef" });
    }
}
