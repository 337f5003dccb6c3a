//! What the table is made of.
//!
//! Owns: reading `infra/table.json`, the one place that says it, which the templates read too. Must
//! never know: what its items mean.

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType,
    },
};
use serde::Deserialize;

use crate::store::StoreError;

/// In the words of the service's `CreateTable`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Definition {
    billing_mode: String,
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<Key>,
    global_secondary_indexes: Vec<Index>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    attribute_name: String,
    key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<Key>,
    projection: Projected,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projected {
    projection_type: String,
    non_key_attributes: Vec<String>,
}

/// What an index has of an item: the attributes that make it a row, and others.
#[cfg(any(test, feature = "conformance"))]
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: String,
    pub(super) keys: Vec<String>,
    pub(super) projected: Vec<String>,
}

impl Definition {
    pub(super) fn read() -> Result<Self, String> {
        serde_json::from_str(include_str!("../../../../infra/table.json"))
            .map_err(|error| format!("infra/table.json defines no table: {error}"))
    }

    /// Each index and its partition key.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.global_secondary_indexes.iter().filter_map(|index| {
            Some((&*index.index_name, &*index.key_schema.first()?.attribute_name))
        })
    }

    /// What each index has of an item.
    #[cfg(any(test, feature = "conformance"))]
    pub(super) fn rows(&self) -> Vec<Row> {
        let names = |keys: &[Key]| -> Vec<String> {
            keys.iter().map(|key| key.attribute_name.clone()).collect()
        };
        let rows = self.global_secondary_indexes.iter().map(|index| {
            let mut keys = names(&index.key_schema);
            keys.extend(names(&self.key_schema));
            keys.sort();
            keys.dedup();
            let projected = index.projection.non_key_attributes.clone();
            Row { index: index.index_name.clone(), keys, projected }
        });
        rows.collect()
    }

    /// The request that makes such a table.
    pub(super) fn apply(
        &self,
        mut create: CreateTableFluentBuilder,
    ) -> Result<CreateTableFluentBuilder, String> {
        let unbuilt = |error: BuildError| format!("infra/table.json defines no table: {error}");
        for attribute in &self.attribute_definitions {
            let definition = AttributeDefinition::builder()
                .attribute_name(&attribute.attribute_name)
                .attribute_type(ScalarAttributeType::from(&*attribute.attribute_type));
            create = create.attribute_definitions(definition.build().map_err(unbuilt)?);
        }
        create = create.billing_mode(BillingMode::from(&*self.billing_mode));
        create = create.set_key_schema(Some(keys(&self.key_schema).map_err(unbuilt)?));
        for index in &self.global_secondary_indexes {
            let projection = Projection::builder()
                .projection_type(ProjectionType::from(&*index.projection.projection_type))
                .set_non_key_attributes(Some(index.projection.non_key_attributes.clone()));
            let definition = GlobalSecondaryIndex::builder()
                .index_name(&index.index_name)
                .set_key_schema(Some(keys(&index.key_schema).map_err(unbuilt)?))
                .projection(projection.build());
            create = create.global_secondary_indexes(definition.build().map_err(unbuilt)?);
        }
        Ok(create)
    }
}

fn keys(keys: &[Key]) -> Result<Vec<KeySchemaElement>, BuildError> {
    let elements = keys.iter().map(|key| {
        KeySchemaElement::builder()
            .attribute_name(&key.attribute_name)
            .key_type(KeyType::from(&*key.key_type))
            .build()
    });
    elements.collect()
}

/// Of a request without something it must have: a mistake here.
pub(super) fn unbuilt(error: BuildError) -> StoreError {
    StoreError::broken("a request to DynamoDB lacks something").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_names_its_indexes() {
        let definition = Definition::read().unwrap();
        let names = definition.indexes().collect::<Vec<_>>();
        let expected = ["by_owner", "by_context", "by_state", "by_work"];
        assert_eq!(names, expected.map(|name| (name, name)));
    }
}
