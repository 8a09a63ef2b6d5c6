//! The tree of a condition.

use std::cmp::Ordering;

use super::token::{Token, Wrong, tokens, wrong_at};

/// How deep brackets and `not` may be nested, so that no text exhausts the stack.
const DEEPEST: usize = 64;

/// A condition or a value.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Column(String),
    Literal(Literal),
    Compare(Box<Self>, Operator, Box<Self>),
    /// Whether the first equals one of the others.
    In(Box<Self>, Vec<Self>),
    IsNull(Box<Self>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    /// Digits, perhaps with a sign, a point and an exponent.
    Number(String),
    Text(String),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Returns whether the comparison is true for values in this order.
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Expr {
    /// Adds the columns that are not among `names` yet.
    pub(super) fn collect_columns<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Column(name) if names.contains(&name.as_str()) => {}
            Self::Column(name) => names.push(name),
            Self::Literal(_) => {}
            Self::Compare(left, _, right) => {
                left.collect_columns(names);
                right.collect_columns(names);
            }
            Self::In(value, list) => {
                value.collect_columns(names);
                list.iter().for_each(|item| item.collect_columns(names));
            }
            Self::IsNull(of) | Self::Not(of) => of.collect_columns(names),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_columns(names)),
        }
    }

    fn is_value(&self) -> bool {
        matches!(self, Self::Column(_) | Self::Literal(_))
    }
}

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Expr, Wrong> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.disjunction()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.expected("'and', 'or' or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    /// Returns the next word, which stays. Behind the end there is nothing but the end.
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn take_if(&mut self, keyword: &str) -> bool {
        let found = self.peek().is(keyword);
        self.next += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &'static str) -> Result<(), Wrong> {
        if *self.peek() != Token::Symbol(symbol) {
            return Err(self.expected(&format!("'{symbol}'")));
        }
        self.next += 1;
        Ok(())
    }

    fn wrong(&self, what: &str) -> Wrong {
        let at = self.tokens.get(self.next).map_or(self.text.len(), |(_, at)| *at);
        wrong_at(self.text, at, what)
    }

    fn expected(&self, what: &str) -> Wrong {
        self.wrong(&format!("expected {what}, found {}", self.peek().shown()))
    }

    fn disjunction(&mut self) -> Result<Expr, Wrong> {
        let first = self.conjunction()?;
        let mut parts = vec![first];
        while self.take_if("or") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    fn conjunction(&mut self) -> Result<Expr, Wrong> {
        let first = self.negation()?;
        let mut parts = vec![first];
        while self.take_if("and") {
            parts.push(self.negation()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) })
    }

    fn negation(&mut self) -> Result<Expr, Wrong> {
        if !self.peek().is("not") {
            return self.comparison();
        }
        self.next += 1;
        self.nested(|parser| Ok(not(parser.negation()?)))
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Result<Expr, Wrong>) -> Result<Expr, Wrong> {
        if self.depth == DEEPEST {
            return Err(self.wrong(&format!("brackets and 'not' are nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn comparison(&mut self) -> Result<Expr, Wrong> {
        let left = self.operand()?;
        let operator = match self.peek() {
            Token::Symbol(symbol) => Operator::from_symbol(symbol),
            _ => None,
        };
        if let Some(operator) = operator {
            self.next += 1;
            let right = self.operand()?;
            return Ok(Expr::Compare(Box::new(left), operator, Box::new(right)));
        }
        if self.take_if("is") {
            let negated = self.take_if("not");
            if !self.take_if("null") {
                return Err(self.expected(if negated { "'null'" } else { "'null' or 'not null'" }));
            }
            let is_null = Expr::IsNull(Box::new(left));
            return Ok(if negated { not(is_null) } else { is_null });
        }
        let negated = self.take_if("not");
        let found = if self.peek().is("in") {
            self.one_of(left)?
        } else if self.peek().is("between") {
            self.between(left)?
        } else if negated {
            return Err(self.expected("'in' or 'between'"));
        } else {
            return Ok(left);
        };
        Ok(if negated { not(found) } else { found })
    }

    fn one_of(&mut self, left: Expr) -> Result<Expr, Wrong> {
        if !left.is_value() {
            return Err(self.wrong("'in' follows a column or a value"));
        }
        self.next += 1;
        self.take_symbol("(")?;
        let mut list = vec![self.value()?];
        while *self.peek() == Token::Symbol(",") {
            self.next += 1;
            list.push(self.value()?);
        }
        if *self.peek() != Token::Symbol(")") {
            return Err(self.expected("',' or ')'"));
        }
        self.next += 1;
        Ok(Expr::In(Box::new(left), list))
    }

    fn between(&mut self, left: Expr) -> Result<Expr, Wrong> {
        if !left.is_value() {
            return Err(self.wrong("'between' follows a column or a value"));
        }
        self.next += 1;
        let low = self.value()?;
        if !self.take_if("and") {
            return Err(self.expected("'and' and the upper bound"));
        }
        let high = self.value()?;
        let from = Expr::Compare(Box::new(left.clone()), Operator::GreaterOrEqual, Box::new(low));
        let to = Expr::Compare(Box::new(left), Operator::LessOrEqual, Box::new(high));
        Ok(Expr::And(vec![from, to]))
    }

    /// A value, or a condition in brackets.
    fn operand(&mut self) -> Result<Expr, Wrong> {
        if *self.peek() != Token::Symbol("(") {
            return self.value();
        }
        self.next += 1;
        let inner = self.nested(Self::disjunction)?;
        self.take_symbol(")")?;
        Ok(inner)
    }

    fn value(&mut self) -> Result<Expr, Wrong> {
        const KEYWORDS: [&str; 6] = ["and", "or", "not", "is", "in", "between"];
        const EXPECTED: &str = "a column, a number, 'text', true, false or null";
        let literal = match self.peek() {
            token if token.is("null") => Literal::Null,
            token if token.is("true") => Literal::Bool(true),
            token if token.is("false") => Literal::Bool(false),
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(digits) => Literal::Number(digits.clone()),
            Token::Symbol(sign @ ("-" | "+")) => {
                let sign = if *sign == "-" { "-" } else { "" };
                self.next += 1;
                let Token::Number(digits) = self.peek() else { return Err(self.expected("a number")) };
                Literal::Number(format!("{sign}{digits}"))
            }
            token if KEYWORDS.iter().any(|keyword| token.is(keyword)) => return Err(self.expected(EXPECTED)),
            Token::Word(_) | Token::Quoted(_) => {
                let (Token::Word(name) | Token::Quoted(name)) = self.take() else {
                    return Err(self.expected(EXPECTED));
                };
                return Ok(Expr::Column(name));
            }
            Token::Symbol(_) | Token::End => return Err(self.expected(EXPECTED)),
        };
        self.next += 1;
        Ok(Expr::Literal(literal))
    }
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}
