//! The OpenAPI document, written from the endpoints themselves: what is not mounted is not described, and the other way round.

use super::access::Access;
use super::endpoint::{Content, Described, Endpoint};
use crate::router::endpoints;
use api::{PROBLEM_TYPE, Problem, ProgressBody};
use std::collections::BTreeMap;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder,
};

/// Name of the way to prove who asks.
const TOKEN: &str = "token";

/// The document, as JSON text.
#[must_use]
pub fn document() -> String {
    let mut schemas = BTreeMap::new();
    for described in [Described::of::<Problem>(), Described::of::<ProgressBody>()] {
        note(&mut schemas, described);
    }
    let mut paths = Paths::new();
    for endpoint in endpoints() {
        let item = PathItem::new(endpoint.method.clone(), operation(&endpoint, &mut schemas).build());
        match paths.paths.get_mut(endpoint.path) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.paths.insert(endpoint.path.to_owned(), item);
            }
        }
    }
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).security_scheme(TOKEN, scheme).build();
    let info = InfoBuilder::new().title("Holdfast vault service").version(env!("CARGO_PKG_VERSION")).description(Some(
        "Keeps recovery points for agents without any key to what is in them. Ids are lower-case hexadecimal digits, times \
         milliseconds since 1970. Every error has a body of type Problem.",
    ));
    let document: OpenApi = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components)).build();
    let mut text = document.to_pretty_json().expect("a document of texts and lists can be written");
    text.push('\n');
    text
}

fn operation(endpoint: &Endpoint, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> OperationBuilder {
    let mut operation = OperationBuilder::new().summary(Some(endpoint.summary)).operation_id(Some(operation_id(endpoint)));
    if !matches!(endpoint.access, Access::Open | Access::Newcomer) {
        operation = operation.security(SecurityRequirement::new(TOKEN, Vec::<String>::new()));
    }
    operation = operation.description(Some(match endpoint.access {
        Access::Open => "Needs no token.",
        Access::Newcomer => "Needs no token: the body proves who asks.",
        Access::OneTime => "Needs a one-time token.",
        Access::Anyone => "Needs any token.",
        Access::OwnDomain => "Needs the token of an agent of this domain, or an administrator's.",
        Access::Administrator => "Needs an administrator's token.",
    }));
    for name in names(endpoint.path) {
        operation = operation.parameter(parameter(name, ParameterIn::Path, true));
    }
    for name in endpoint.query {
        operation = operation.parameter(parameter(name, ParameterIn::Query, false));
    }
    if let Some((content_type, schema, what)) = content(&endpoint.takes, schemas) {
        let body = RequestBodyBuilder::new().required(Some(Required::True)).description(Some(what));
        operation =
            operation.request_body(Some(body.content(content_type, ContentBuilder::new().schema(Some(schema)).build()).build()));
    }
    operation = match content(&endpoint.gives, schemas) {
        Some((content_type, schema, what)) => {
            let answer = ResponseBuilder::new().description(what);
            operation.response("200", answer.content(content_type, ContentBuilder::new().schema(Some(schema)).build()).build())
        }
        None => operation.response("204", ResponseBuilder::new().description("Done").build()),
    };
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem = ResponseBuilder::new().description("It failed").content(PROBLEM_TYPE, problem).build();
    operation.response("default", problem)
}

fn content(content: &Content, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> Option<(&'static str, RefOr<Schema>, String)> {
    match content {
        Content::Nothing => None,
        Content::Json(described) => {
            let what = described.name.to_string();
            Some(("application/json", note(schemas, described.clone()), what))
        }
        Content::Octets(what) => Some(("application/octet-stream", binary().into(), (*what).to_owned())),
        Content::Lines(described) => {
            let what = format!(
                "Lines of JSON objects with one member each: progress (ProgressBody) now and then, at last report ({}) or problem (Problem)",
                described.name
            );
            note(schemas, described.clone());
            Some((super::answer::LINES_TYPE, binary().into(), what))
        }
        Content::Stream(described, content_type) => {
            let what = format!(
                "{} as JSON, whole each time: at once, whenever something of it changes, and now and then a sign that the connection is alive",
                described.name
            );
            note(schemas, described.clone());
            Some((*content_type, text().into(), what))
        }
        Content::Text(what) => Some(("text/plain", text().into(), (*what).to_owned())),
    }
}

/// Notes a type's schema and those in it; answers how to refer to it.
fn note(schemas: &mut BTreeMap<String, RefOr<Schema>>, described: Described) -> RefOr<Schema> {
    schemas.extend(described.parts);
    schemas.insert(described.name.to_string(), described.schema);
    let reference = Ref::from_schema_name(described.name.to_string());
    if described.optional {
        let null = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null));
        return RefOr::T(Schema::OneOf(OneOfBuilder::new().item(reference).item(null).build()));
    }
    reference.into()
}

fn binary() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).content_media_type("application/octet-stream").build().into()
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build().into()
}

fn parameter(name: &str, place: ParameterIn, required: bool) -> Parameter {
    let required = if required { Required::True } else { Required::False };
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(text())).build()
}

/// Names in the braces of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn operation_id(endpoint: &Endpoint) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let parts = endpoint.path.split('/').filter(|part| !part.is_empty() && *part != "v1");
    let path: Vec<String> = parts.map(|part| part.trim_matches(['{', '}']).chars().map(word).collect()).collect();
    format!("{}_{}", endpoint.method_name().to_lowercase(), path.join("_"))
}
