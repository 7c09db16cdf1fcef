//! What a client accepts: the media types of `Accept`, each with its parameters.
//!
//! ```text
//! Accept = range *( "," range )      range = type "/" subtype *( ";" name [ "=" value ] )      value = token / quoted
//! ```
//! Types and names are read in any case. A weight (`q`) is in thousandths, at most three digits behind the point.
//!
//! Source: RFC 9110, 12.5.1 and 8.3.1.

/// The most media types that are read; those behind are passed over.
const MOST_RANGES: usize = 32;
/// The weight of what has none.
const FULL: u16 = 1000;

/// A media type, in lower case, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Type and subtype.
    pub name: String,
    /// Its parameters but for the weight: names in lower case, values as they stand.
    pub parameters: Vec<(String, String)>,
    /// How much it is wanted, from 0, not at all, to 1000.
    pub weight: u16,
}

impl Media {
    /// A parameter, the first of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';');
        let name = parts.next()?.trim().to_ascii_lowercase();
        let mut media = Self { name, parameters: Vec::new(), weight: FULL };
        if !media.name.contains('/') {
            return None;
        }
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim().to_ascii_lowercase(), unquoted(value.trim()));
            match &name[..] {
                "q" => media.weight = weight(&value)?,
                _ => media.parameters.push((name, value)),
            }
        }
        Some(media)
    }
}

/// The media types that are accepted, those that are wanted most first; of equal ones in their order. What is none is left out.
pub fn parse(header: &str) -> Vec<Media> {
    let mut media: Vec<_> = split(header, ',').take(MOST_RANGES).filter_map(Media::parse).collect();
    media.retain(|media| media.weight > 0);
    media.sort_by_key(|media| FULL - media.weight);
    media
}

/// The parts of a text between separators that are not in quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut escaped) = (false, false);
    text.split(move |character| {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            '"' if !was_escaped => in_quotes = !in_quotes,
            '\\' if in_quotes => escaped = !was_escaped,
            _ => {}
        }
        character == separator && !in_quotes
    })
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|character| {
            escaped = *character == '\\' && !escaped;
            !escaped
        })
        .collect()
}

fn weight(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{part:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str) -> Vec<String> {
        parse(header).into_iter().map(|media| media.name).collect()
    }

    #[test]
    fn what_is_wanted_most_comes_first() {
        assert_eq!(names("a/a;q=0.5, b/b, c/c;q=0.50, d/d;q=0.501, e/e;q=0"), ["b/b", "d/d", "a/a", "c/c"]);
        assert_eq!(names("A/B;Q=1.000 , */*;q=0.1"), ["a/b", "*/*"]);
        assert!(names("").is_empty() && names(" , ;,x,a/b;q=2,a/b;q=0.1234,a/b;q=-1,a/b;q=,a/b;q=1.5").is_empty());
        assert_eq!(parse(&"a/b,".repeat(1000)).len(), MOST_RANGES);
    }

    #[test]
    fn parameters_may_be_quoted() {
        let [media] = &parse("application/x; ORDER=dfs ;dups=\"y\";flag; odd=\"a,b;c\\\"d\\\\\"")[..] else {
            panic!("one type");
        };
        for (name, value) in
            [("order", Some("dfs")), ("dups", Some("y")), ("flag", Some("")), ("odd", Some("a,b;c\"d\\")), ("q", None)]
        {
            assert_eq!(media.parameter(name), value, "{name}");
        }
        // A quote that is never closed takes all that follows.
        assert_eq!(names("a/b;c=\"d, e/f"), ["a/b"]);
    }
}
