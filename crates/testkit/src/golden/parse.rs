//! The text form of golden cases.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use libtest_mimic::Failed;
use lodestore_core::definition::{
    DataSource, Definitions, Entity, FeatureService, FeatureView, Field, FileSource, JoinKey, Projection, TableRef,
};
use lodestore_core::name::FeatureRef;
use lodestore_core::offline::HistoricalOptions;
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::types::{FeatureType, KeyType};

use super::GoldenCase;
use crate::fixture::{Retrieval, parse_table, snapshot};

/// A statement: its words, and the indented lines below it.
struct Statement<'a> {
    keyword: &'a str,
    words: Vec<&'a str>,
    below: Vec<&'a str>,
}

impl<'a> Statement<'a> {
    fn name(&self) -> Result<&'a str, Failed> {
        Ok(self.words.first().copied().ok_or_else(|| format!("'{}' needs a name", self.keyword))?)
    }

    /// Returns what stands after `key=`.
    fn option(&self, key: &str) -> Option<&'a str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn check_options(&self, known: &[&str]) -> Result<(), Failed> {
        for word in &self.words[1..] {
            let key = word.split('=').next().unwrap_or(word);
            crate::check!(known.contains(&key), "'{}' has no option '{word}'; known: {known:?}", self.keyword);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parsed {
    definitions: Definitions,
    tables: Vec<(TableRef, RecordBatch)>,
    views: Vec<FeatureView>,
    refs: Vec<FeatureRef>,
    projections: Vec<Projection>,
    questions: Option<RecordBatch>,
    options: HistoricalOptions,
    names: ColumnNames,
}

impl GoldenCase {
    /// Reads a case.
    ///
    /// # Errors
    /// For text that is no case; it says which line is wrong.
    pub fn parse(text: &str) -> Result<Self, Failed> {
        let (given, expected) = text.split_once("\n----\n").ok_or("a case has a line '----' above its answer")?;
        let mut parsed = Parsed::default();
        for statement in statements(given)? {
            parsed.take(&statement)?;
        }
        let retrieval = match parsed.request() {
            Ok(request) => Ok(Retrieval {
                tables: parsed.tables,
                request,
                questions: parsed.questions.ok_or("a case has 'entities'")?,
                options: parsed.options,
            }),
            Err(error) => Err(format!("error {}: {error}", error.kind())),
        };
        Ok(Self { given: format!("{given}\n"), expected: expected.to_owned(), retrieval })
    }
}

fn statements(text: &str) -> Result<Vec<Statement<'_>>, Failed> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        if line.starts_with(' ') {
            statements.last_mut().ok_or("a case starts with a statement")?.below.push(line.trim());
        } else {
            let mut words = line.split_whitespace();
            let keyword = words.next().unwrap_or_default();
            statements.push(Statement { keyword, words: words.collect(), below: Vec::new() });
        }
    }
    Ok(statements)
}

impl Parsed {
    fn take(&mut self, statement: &Statement<'_>) -> Result<(), Failed> {
        match statement.keyword {
            "source" => self.source(statement),
            "view" => self.view(statement),
            "entities" => {
                self.questions = Some(parse_table(&statement.below.join("\n"))?);
                Ok(())
            }
            "ask" => {
                let refs = statement.words.iter().map(|word| word.parse::<FeatureRef>());
                self.refs.extend(refs.collect::<Result<Vec<_>, _>>()?);
                Ok(())
            }
            "service" => self.projection(statement),
            "options" => statement.words.iter().try_for_each(|word| self.set_option(word)),
            other => Err(format!("unknown statement '{other}'").into()),
        }
    }

    fn set_option(&mut self, word: &str) -> Result<(), Failed> {
        match word {
            "as_known" => self.options.as_known = true,
            "defaults" => self.options.use_defaults = true,
            "full_names" => self.names = ColumnNames::ViewAndFeature,
            other => return Err(format!("unknown option '{other}'").into()),
        }
        Ok(())
    }

    fn source(&mut self, statement: &Statement<'_>) -> Result<(), Failed> {
        statement.check_options(&["time", "created", "delay", "valid_from", "valid_to", "map"])?;
        let name = statement.name()?;
        let mut source = FileSource::new(name, &format!("{name}.parquet"))?;
        let text = |key: &str| statement.option(key).map(str::to_owned);
        source.timestamp_field = text("time");
        source.created_timestamp_column = text("created");
        source.valid_from = text("valid_from");
        source.valid_to = text("valid_to");
        source.availability_delay = statement.option("delay").map_or(Ok(Default::default()), str::parse)?;
        source.field_mapping = pairs(statement.option("map"))?;
        self.tables.push((source.table()?, parse_table(&statement.below.join("\n"))?));
        Ok(self.definitions.add_data_source(DataSource::File(source))?)
    }

    fn view(&mut self, statement: &Statement<'_>) -> Result<(), Failed> {
        statement.check_options(&["source", "keys", "features", "ttl"])?;
        let source = statement.option("source").ok_or("a view has source=")?;
        let mut keys = Vec::new();
        for (name, ty) in self.typed(source, statement.option("keys").unwrap_or_default())? {
            keys.push(JoinKey { name: name.parse()?, key_type: Some(KeyType::try_from(&ty)?) });
        }
        let entity = keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(" and ");
        if !keys.is_empty() && !self.definitions.entities.contains_key(entity.as_str()) {
            self.definitions.add_entity(Entity { join_keys: keys, ..Entity::new(&entity)? })?;
        }
        let features = self.typed(source, statement.option("features").ok_or("a view has features=")?)?;
        let mut schema: Vec<Field> = features.iter().map(|(name, ty)| Field::new(name, ty.clone())).collect();
        for line in &statement.below {
            let mut words = line.splitn(3, ' ');
            let (Some("default"), Some(feature), Some(json)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("expected 'default FEATURE JSON', found {line:?}").into());
            };
            let field = schema.iter_mut().find(|field| field.name == feature);
            field.ok_or_else(|| format!("no feature '{feature}'"))?.default = Some(serde_json::from_str(json)?);
        }
        let view = FeatureView {
            name: statement.name()?.parse()?,
            entities: if entity.is_empty() { vec![] } else { vec![entity.parse()?] },
            schema,
            aggregations: Vec::new(),
            inputs: Vec::new(),
            source: source.parse()?,
            ttl: statement.option("ttl").map(str::parse).transpose()?,
            online: true,
            description: String::new(),
            tags: BTreeMap::new(),
            owner: String::new(),
        };
        self.views.push(view.clone());
        Ok(self.definitions.add_feature_view(view)?)
    }

    fn projection(&mut self, statement: &Statement<'_>) -> Result<(), Failed> {
        statement.check_options(&["alias", "keys", "features"])?;
        let mut projection = Projection::all(statement.name()?.parse()?);
        projection.alias = statement.option("alias").map(str::parse).transpose()?;
        for (key, column) in pairs(statement.option("keys"))? {
            projection.join_key_map.insert(key.parse()?, column);
        }
        let features = statement.option("features").map(|names| names.split(',').map(str::parse).collect());
        projection.features = features.transpose()?;
        self.projections.push(projection);
        Ok(())
    }

    /// Returns names with their types: those that are said, else those of the source's columns.
    fn typed(&self, source: &str, list: &str) -> Result<Vec<(String, FeatureType)>, Failed> {
        let path = format!("{source}.parquet");
        let (table, rows) = self.tables.iter().find(|(t, _)| t.path == path).ok_or_else(|| format!("no {source}"))?;
        let mut typed = Vec::new();
        for item in split_outside_brackets(list) {
            let (name, ty) = match item.split_once(':') {
                Some((name, ty)) => (name, ty.parse()?),
                None => {
                    let column = rows.column_by_name(table.file_column(item));
                    let column = column.ok_or_else(|| format!("source '{source}' has no column '{item}'"))?;
                    (item, FeatureType::from_arrow(column.data_type()).ok_or("no feature type holds the column")?)
                }
            };
            typed.push((name.to_owned(), ty));
        }
        Ok(typed)
    }

    fn request(&mut self) -> lodestore_core::Result<FeatureRequest> {
        let broken = |failed: Failed| lodestore_core::Error::invalid(failed.message().unwrap_or_default());
        if !self.projections.is_empty() {
            self.definitions.add_feature_service(FeatureService {
                name: "service".parse()?,
                features: self.projections.clone(),
                description: String::new(),
                tags: BTreeMap::new(),
                owner: String::new(),
            })?;
        }
        self.definitions.check()?;
        let snapshot = snapshot(&self.definitions).map_err(broken)?;
        if !self.projections.is_empty() {
            return FeatureRequest::from_service(&snapshot, &"service".parse()?, self.names);
        }
        if self.refs.is_empty() {
            for view in &self.views {
                for field in &view.schema {
                    self.refs.push(format!("{}:{}", view.name, field.name).parse()?);
                }
            }
        }
        FeatureRequest::from_refs(&snapshot, &self.refs, self.names)
    }
}

fn pairs(list: Option<&str>) -> Result<BTreeMap<String, String>, Failed> {
    let pair = |pair: &str| {
        let (from, to) = pair.split_once('>').ok_or_else(|| format!("{pair:?} is not from>to"))?;
        Ok((from.to_owned(), to.to_owned()))
    };
    list.into_iter().flat_map(|list| list.split(',')).map(pair).collect()
}

fn split_outside_brackets(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    list.split(|c| {
        depth += i32::from(matches!(c, '<' | '(')) - i32::from(matches!(c, '>' | ')'));
        c == ',' && depth == 0
    })
    .filter(|item| !item.is_empty())
    .collect()
}
