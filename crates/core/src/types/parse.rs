//! The text form of a feature type.

use std::str::FromStr;

use super::FeatureType;
use crate::error::{Error, Result};

const KNOWN: &str = "bool, int32, int64, float32, float64, string, bytes, timestamp, date, json, uuid, \
     decimal(p, s), list<T>, set<T>, vector<float32, n>, struct<name: T, ...>, map<K, V>";

impl FromStr for FeatureType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parser = Parser { text, rest: text };
        let ty = parser.feature_type()?;
        if !parser.rest.trim().is_empty() {
            return Err(parser.wrong());
        }
        Ok(ty)
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn wrong(&self) -> Error {
        Error::invalid(format!("unknown type {:?}; known: {KNOWN}", self.text))
    }

    fn eat(&mut self, symbol: char) -> Result<()> {
        self.rest = self.rest.trim_start().strip_prefix(symbol).ok_or_else(|| self.wrong())?;
        Ok(())
    }

    /// Takes what stands before the next of `ends`.
    fn word(&mut self, ends: &[char]) -> &'a str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.trim()
    }

    fn number<N: FromStr>(&mut self) -> Result<N> {
        self.word(&[',', ')', '>']).parse().map_err(|_| self.wrong())
    }

    fn in_brackets<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.eat('<')?;
        let value = inner(self)?;
        self.eat('>')?;
        Ok(value)
    }

    fn feature_type(&mut self) -> Result<FeatureType> {
        Ok(match self.word(&['<', '>', '(', ')', ',', ':']) {
            "bool" => FeatureType::Bool,
            "int32" => FeatureType::Int32,
            "int64" => FeatureType::Int64,
            "float32" => FeatureType::Float32,
            "float64" => FeatureType::Float64,
            "string" => FeatureType::String,
            "bytes" => FeatureType::Bytes,
            "timestamp" => FeatureType::Timestamp,
            "date" => FeatureType::Date,
            "json" => FeatureType::Json,
            "uuid" => FeatureType::Uuid,
            "decimal" => self.decimal()?,
            "list" => FeatureType::List(Box::new(self.in_brackets(Self::feature_type)?)),
            "set" => FeatureType::Set(Box::new(self.in_brackets(Self::feature_type)?)),
            "vector" => self.in_brackets(Self::vector)?,
            "struct" => FeatureType::Struct(self.in_brackets(Self::fields)?),
            "map" => self.in_brackets(Self::map)?,
            _ => return Err(self.wrong()),
        })
    }

    fn decimal(&mut self) -> Result<FeatureType> {
        self.eat('(')?;
        let precision: u8 = self.number()?;
        self.eat(',')?;
        let scale: i8 = self.number()?;
        self.eat(')')?;
        if !(1..=38).contains(&precision) || scale < 0 || i16::from(scale) > i16::from(precision) {
            return Err(Error::invalid(format!(
                "decimal({precision}, {scale}) in {:?} is out of range; expected 1 to 38 digits, at most that many after the point",
                self.text
            )));
        }
        Ok(FeatureType::Decimal { precision, scale })
    }

    fn vector(&mut self) -> Result<FeatureType> {
        let double = match self.word(&[',', '>']) {
            "float32" => false,
            "float64" => true,
            _ => return Err(self.wrong()),
        };
        self.eat(',')?;
        let dim: i32 = self.number()?;
        if dim < 1 {
            return Err(self.wrong());
        }
        Ok(FeatureType::Vector { double, dim })
    }

    fn fields(&mut self) -> Result<Vec<(String, FeatureType)>> {
        let mut fields: Vec<(String, FeatureType)> = Vec::new();
        loop {
            let name = self.word(&[':', ',', '>']).to_owned();
            self.eat(':')?;
            let ty = self.feature_type()?;
            if name.is_empty() || fields.iter().any(|(other, _)| *other == name) {
                return Err(Error::invalid(format!("field {name:?} of {:?} is empty or given twice", self.text)));
            }
            fields.push((name, ty));
            match self.eat(',') {
                Ok(()) => self.rest = self.rest.trim_start(),
                Err(_) => return Ok(fields),
            }
        }
    }

    fn map(&mut self) -> Result<FeatureType> {
        let key = self.feature_type()?;
        self.eat(',')?;
        Ok(FeatureType::Map(Box::new(key), Box::new(self.feature_type()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_every_type_prints_as_it_parses() -> Result<()> {
        for text in [
            "bool",
            "int32",
            "int64",
            "float32",
            "float64",
            "string",
            "bytes",
            "timestamp",
            "date",
            "json",
            "uuid",
            "decimal(12, 2)",
            "list<list<int64>>",
            "set<string>",
            "vector<float32, 128>",
            "vector<float64, 3>",
            "struct<a: int64, b: map<string, list<bool>>>",
        ] {
            assert_eq!(text.parse::<FeatureType>()?.to_string(), text);
        }
        Ok(())
    }

    #[test]
    fn wrong_types_are_refused() {
        for text in ["", "int", "list", "list<", "list<int64", "list<int64>>", "decimal(40, 2)", "vector<int64, 3>"] {
            assert!(text.parse::<FeatureType>().is_err(), "{text}");
        }
        assert!("vector<float32, 0>".parse::<FeatureType>().is_err());
        assert!("struct<a: int64, a: int64>".parse::<FeatureType>().is_err());
    }
}
