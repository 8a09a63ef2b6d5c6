//! The words of a condition.

/// A word of a condition's text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or the plain name of a column.
    Word(String),
    /// The quoted name of a column.
    Quoted(String),
    /// Text between single quotes.
    Text(String),
    /// A number without a sign.
    Number(String),
    /// An operator, bracket or comma.
    Symbol(&'static str),
    /// After the last word.
    End,
}

impl Token {
    /// Returns whether this is a keyword, given in small letters.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Returns the word as a message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Number(word) => format!("'{word}'"),
            Self::Quoted(name) => format!("column '{name}'"),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Symbol(symbol) => format!("'{symbol}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// Longer ones come before those that they start with.
const SYMBOLS: [&str; 13] = ["<=", ">=", "<>", "!=", "==", "<", ">", "=", "(", ")", ",", "-", "+"];

/// A place in the text, counted in characters from 1, and what is wrong there.
pub(super) type Wrong = String;

/// Returns what is wrong at a byte of the text.
pub(super) fn wrong_at(text: &str, byte: usize, what: &str) -> Wrong {
    format!("{}: {what}", text[..byte].chars().count() + 1)
}

/// Splits a text into words, each with the byte it starts at; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, length) = token(&text[at..], first).map_err(|what| wrong_at(text, at, &what))?;
        tokens.push((token, at));
        at += length;
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    let followed_by_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
    match first {
        '\'' => quoted(rest, '\'').map(|(text, length)| (Token::Text(text), length)),
        '"' => match quoted(rest, '"')? {
            (name, _) if name.is_empty() => Err("a column's name is empty".to_owned()),
            (name, length) => Ok((Token::Quoted(name), length)),
        },
        _ if first.is_ascii_digit() || (first == '.' && followed_by_digit) => number(rest),
        _ if is_start(first) => {
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            Ok((Token::Word(rest[..length].to_owned()), length))
        }
        _ => match SYMBOLS.iter().find(|symbol| rest.starts_with(*symbol)) {
            Some(symbol) => Ok((Token::Symbol(symbol), symbol.len())),
            None if "*/%|&".contains(first) => Err(format!("{first:?} is not known: a condition has no arithmetic")),
            None => Err(format!(
                "{first:?} has no meaning here; a column with other than letters, digits and '_' in its name is put in double quotes"
            )),
        },
    }
}

fn is_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns what stands between quotes, doubled ones halved, and the bytes it takes with its quotes.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), String> {
    let mut content = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c != quote {
            content.push(c);
        } else if characters.next_if(|&(_, next)| next == quote).is_some() {
            content.push(quote);
        } else {
            return Ok((content, at + 1));
        }
    }
    Err(format!("what starts with {quote} here does not end with {quote}"))
}

/// Returns a number: digits, perhaps with a point, perhaps with an exponent.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let digits = |from: usize| rest[from..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |n| from + n);
    let mut end = digits(0);
    if rest[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = end + 1;
        let first = if rest[sign..].starts_with(['-', '+']) { sign + 1 } else { sign };
        end = digits(first);
        if end == first {
            return Err(format!("{:?} is not a number: its exponent has no digits", &rest[..end]));
        }
    }
    match rest[end..].chars().next() {
        Some(c) if is_part(c) || c == '.' => Err(format!("{:?} is not a number", &rest[..end + c.len_utf8()])),
        _ => Ok((Token::Number(rest[..end].to_owned()), end)),
    }
}
