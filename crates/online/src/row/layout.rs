//! Where the values of a record lie, computed once for a view version.

use lodestore_core::definition::ViewVersion;
use lodestore_core::types::FeatureType;

/// How the rows of a view version are laid out.
#[derive(Debug, Clone, PartialEq)]
pub struct RowLayout {
    pub(super) record: RecordLayout,
    pub(super) types: Vec<FeatureType>,
}

impl RowLayout {
    /// Returns the layout of a view version's rows.
    #[must_use]
    pub fn of(view: &ViewVersion) -> Self {
        Self::of_types(view.features.iter().map(|feature| feature.feature_type.clone()).collect())
    }

    /// Returns the layout of rows with features of these types.
    #[must_use]
    pub fn of_types(types: Vec<FeatureType>) -> Self {
        Self { record: RecordLayout::of(types.iter()), types }
    }

    /// Returns the types of the features, in the view's order.
    #[must_use]
    pub fn types(&self) -> &[FeatureType] {
        &self.types
    }

    /// Returns the type of a feature, and where and how its values lie.
    pub(super) fn feature(&self, feature: usize) -> Option<(&FeatureType, &Field)> {
        Some((self.types.get(feature)?, self.record.fields.get(feature)?))
    }
}

/// Where the values of a record lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordLayout {
    pub(super) fields: Vec<Field>,
    /// How many values have a variable width.
    pub(super) variables: usize,
    /// Where the ends of the variable values begin.
    pub(super) ends_at: usize,
    /// Where the variable part begins.
    pub(super) head: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) shape: Shape,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Fixed { at: usize, width: usize },
    Variable { index: usize },
}

/// What the bytes of a value are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Bool,
    Int32,
    Int64,
    Float32,
    Float64,
    Timestamp,
    Date,
    Decimal {
        scale: i8,
    },
    Text,
    Bytes,
    List(Box<Self>),
    /// A list of records of two fields.
    Map(Box<Self>),
    Vector {
        item: Box<Self>,
        dim: usize,
    },
    Record(RecordLayout),
}

impl RecordLayout {
    fn of<'a>(types: impl ExactSizeIterator<Item = &'a FeatureType>) -> Self {
        let mut at = types.len().div_ceil(8);
        let mut variables = 0;
        let fields = types.map(|ty| {
            let shape = Shape::of(ty);
            let place = match shape.fixed_width() {
                Some(width) => {
                    at += width;
                    Place::Fixed { at: at - width, width }
                }
                None => {
                    variables += 1;
                    Place::Variable { index: variables - 1 }
                }
            };
            Field { shape, place }
        });
        let fields = fields.collect();
        Self { fields, variables, ends_at: at, head: at + 4 * variables }
    }
}

impl Shape {
    pub(super) fn of(ty: &FeatureType) -> Self {
        match ty {
            FeatureType::Bool => Self::Bool,
            FeatureType::Int32 => Self::Int32,
            FeatureType::Int64 => Self::Int64,
            FeatureType::Float32 => Self::Float32,
            FeatureType::Float64 => Self::Float64,
            FeatureType::Timestamp => Self::Timestamp,
            FeatureType::Date => Self::Date,
            FeatureType::Decimal { scale, .. } => Self::Decimal { scale: *scale },
            FeatureType::String | FeatureType::Json | FeatureType::Uuid => Self::Text,
            FeatureType::Bytes => Self::Bytes,
            FeatureType::List(item) | FeatureType::Set(item) => Self::List(Box::new(Self::of(item))),
            FeatureType::Vector { double, dim } => Self::Vector {
                item: Box::new(if *double { Self::Float64 } else { Self::Float32 }),
                dim: usize::try_from(*dim).unwrap_or_default(),
            },
            FeatureType::Struct(fields) => Self::Record(RecordLayout::of(fields.iter().map(|(_, ty)| ty))),
            FeatureType::Map(key, value) => {
                let pair = [key.as_ref(), value.as_ref()];
                Self::Map(Box::new(Self::Record(RecordLayout::of(pair.into_iter()))))
            }
        }
    }

    /// Returns the width of every value of this shape; `None` if it varies.
    pub(super) fn fixed_width(&self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Int32 | Self::Float32 | Self::Date => Some(4),
            Self::Int64 | Self::Float64 | Self::Timestamp => Some(8),
            Self::Decimal { .. } => Some(16),
            Self::Text | Self::Bytes | Self::List(_) | Self::Map(_) | Self::Vector { .. } | Self::Record(_) => None,
        }
    }
}
