//! Bodies of requests that are JSON, as Python writes it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::error::Refusal;

/// Parses a body. Where it is no JSON because of the words `NaN` and `Infinity`, which Python writes, they are
/// read as texts; `quoted` then holds the body.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], quoted: &'a mut Vec<u8>) -> Result<T, Refusal> {
    match serde_json::from_slice(body) {
        Ok(parsed) => Ok(parsed),
        Err(error) => match quoted_words(body) {
            Some(words) => {
                *quoted = words;
                serde_json::from_slice(quoted).map_err(Refusal::body)
            }
            None => Err(Refusal::body(error)),
        },
    }
}

/// Returns the body with `NaN`, `Infinity` and `-Infinity` in quotes, or `None` where they don't occur.
pub(crate) fn quoted_words(body: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let (mut out, mut at, mut in_text, mut found) = (Vec::with_capacity(body.len() + 16), 0, false, false);
    while at < body.len() {
        let byte = body[at];
        let word = WORDS.iter().find(|word| !in_text && body[at..].starts_with(word));
        if let Some(word) = word {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
            found = true;
            continue;
        }
        out.push(byte);
        at += 1;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text && at < body.len() => {
                out.push(body[at]);
                at += 1;
            }
            _ => {}
        }
    }
    found.then_some(out)
}

/// A text that is not copied where it has no escapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_python_writes_are_quoted_outside_of_texts() {
        let body = br#"{"a": [NaN, -Infinity, 1], "NaN \" NaN": "Infinity"}"#;
        let expected = br#"{"a": ["NaN", "-Infinity", 1], "NaN \" NaN": "Infinity"}"#;
        assert_eq!(quoted_words(body).unwrap(), expected);
        assert_eq!(quoted_words(br#"{"NaN": 1}"#), None);
    }
}
