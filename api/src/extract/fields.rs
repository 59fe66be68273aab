//! Reading the fields of a body or a query, with every error at once.
use std::{ops::RangeInclusive, str::FromStr};

use commands::FieldError;
use domain::{Change, Violation};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::{problem::Problem, problems};

/// Fields that are taken out one by one; what is left over at the end does not belong there.
pub(crate) struct Fields {
    left: Map<String, Value>,
    errors: Vec<FieldError>,
    /// Which fields were asked for, with whether they must be there.
    #[cfg(test)]
    asked: Vec<(&'static str, bool)>,
}

/// What a handler wants to know, read from fields.
pub(crate) trait FromFields: Sized {
    /// Takes every field it knows; `None` when one of them was wrong. To report all errors at
    /// once, read all fields before giving up on one.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

impl Fields {
    pub(crate) fn new(fields: Map<String, Value>) -> Self {
        Self {
            left: fields,
            errors: Vec::new(),
            #[cfg(test)]
            asked: Vec::new(),
        }
    }

    /// The fields that `T` knows, with whether they must be there.
    #[cfg(test)]
    pub(crate) fn asked_by<T: FromFields>() -> Vec<(&'static str, bool)> {
        let mut fields = Self::new(Map::new());
        T::from_fields(&mut fields);
        fields.asked
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<T> {
        #[cfg(test)]
        self.asked.push((name, true));
        match self.left.remove(name) {
            Some(Value::Null) | None => {
                self.refuse(name, Violation::new("required", "must be given"));
                None
            }
            Some(value) => parse(&value).map_err(|violation| self.refuse(name, violation)).ok(),
        }
    }

    /// A field that may be absent or null: `Some(None)` then.
    #[expect(clippy::option_option, reason = "wrong, absent and present are three things")]
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<Option<T>> {
        #[cfg(test)]
        self.asked.push((name, false));
        match self.left.remove(name) {
            Some(Value::Null) | None => Some(None),
            Some(value) => {
                parse(&value).map(Some).map_err(|violation| self.refuse(name, violation)).ok()
            }
        }
    }

    /// A field of a partial change that cannot be cleared: `Some(None)` where it is absent.
    #[expect(clippy::option_option, reason = "wrong, absent and present are three things")]
    pub(crate) fn changed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<Option<T>> {
        if self.left.contains_key(name) {
            return self.required(name, parse).map(Some);
        }
        #[cfg(test)]
        self.asked.push((name, false));
        Some(None)
    }

    /// A field of a partial change that null clears: `Some(None)` where it is absent,
    /// `Some(Some(None))` where it is null.
    #[expect(clippy::option_option, reason = "wrong, absent, null and present are four things")]
    pub(crate) fn cleared<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<Option<Option<T>>> {
        if self.left.contains_key(name) {
            return self.optional(name, parse).map(Some);
        }
        #[cfg(test)]
        self.asked.push((name, false));
        Some(None)
    }

    /// Whether the field is there, be it null.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// A field of an edit: absent leaves it, null clears it.
    pub(crate) fn change<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<Change<Option<T>>> {
        let given = self.given(name);
        let value = self.optional(name, parse)?;
        Some(if given { Change::Set(value) } else { Change::Keep })
    }

    /// A field that is an object, absent or null. What is wrong inside is reported with its place.
    #[expect(clippy::option_option, reason = "wrong, absent and present are three things")]
    pub(crate) fn nested<T: FromFields>(&mut self, name: &'static str) -> Option<Option<T>> {
        let object = |value: &Value| match value {
            Value::Object(fields) => Ok(fields.clone()),
            _ => Err(Violation::new("wrong_type", "must be an object")),
        };
        let Some(fields) = self.optional(name, object)? else { return Some(None) };
        let mut inner = Self::new(fields);
        let value = T::from_fields(&mut inner);
        let errors = inner.finish();
        let whole = errors.is_empty();
        self.errors.extend(errors.into_iter().map(|error| FieldError {
            pointer: format!("{}{}", pointer_to(name), error.pointer),
            ..error
        }));
        value.filter(|_| whole).map(Some)
    }

    /// Everything that was wrong: foreign fields first.
    fn finish(mut self) -> Vec<FieldError> {
        let unknown = self.left.keys().map(|name| FieldError {
            pointer: pointer_to(name),
            code: problems::UNKNOWN_FIELD.code,
            detail: "is not a field of this request".to_owned(),
        });
        let mut errors: Vec<_> = unknown.collect();
        errors.append(&mut self.errors);
        errors
    }

    /// Reports what is wrong with a field beyond its own value.
    pub(crate) fn refuse(&mut self, name: &str, violation: Violation) {
        let pointer = pointer_to(name);
        self.errors.push(FieldError { pointer, code: violation.code, detail: violation.detail });
    }

    /// Reads a whole `T`.
    ///
    /// # Errors
    /// A problem with every error: `unknown_field` when there are fields that `T` does not have,
    /// else `validation_failed`.
    pub(crate) fn read<T: FromFields>(mut self) -> Result<T, Problem> {
        let value = T::from_fields(&mut self);
        let errors = self.finish();
        let foreign = errors.iter().any(|error| error.code == problems::UNKNOWN_FIELD.code);
        let kind = if foreign { &problems::UNKNOWN_FIELD } else { &problems::VALIDATION_FAILED };
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(Problem::new(kind).errors(errors)),
        }
    }
}

/// A JSON pointer (RFC 6901, section 3) to a field of the top level.
pub(super) fn pointer_to(name: &str) -> String {
    // A name of any length may come in; an error answer need not repeat all of it.
    let name: String = name.chars().take(100).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A string that `parse` accepts.
pub(crate) fn text<T>(
    parse: impl FnOnce(&str) -> Result<T, Violation>,
) -> impl FnOnce(&Value) -> Result<T, Violation> {
    |value| match value {
        Value::String(raw) => parse(raw),
        _ => Err(Violation::new("wrong_type", "must be a string")),
    }
}

/// A list of at most `most` values that `parse` accepts.
pub(crate) fn list<T>(
    most: usize,
    parse: impl Fn(&Value) -> Result<T, Violation>,
) -> impl FnOnce(&Value) -> Result<Vec<T>, Violation> {
    move |value| {
        let Value::Array(items) = value else {
            return Err(Violation::new("wrong_type", "must be a list"));
        };
        if items.len() > most {
            return Err(Violation::new("too_many", format!("at most {most} entries")));
        }
        let entry = |(place, item)| {
            parse(item).map_err(|violation| Violation {
                detail: format!("entry {}: {}", place + 1, violation.detail),
                ..violation
            })
        };
        items.iter().enumerate().map(entry).collect()
    }
}

/// Text to search for; blank text searches for nothing in particular.
pub(crate) fn search(raw: &str) -> Result<Option<String>, Violation> {
    const MAX_CHARACTERS: usize = 100;
    // Above all no NUL, which PostgreSQL cannot compare with.
    if raw.chars().any(char::is_control) {
        return Err(Violation::new(
            "invalid_characters",
            "control characters are not allowed here",
        ));
    }
    let raw: String = raw.trim().nfc().collect();
    if raw.chars().count() > MAX_CHARACTERS {
        return Err(Violation::new("too_long", format!("at most {MAX_CHARACTERS} characters")));
    }
    Ok((!raw.is_empty()).then_some(raw))
}

/// A UUID.
pub(crate) fn id<T: FromStr>(value: &Value) -> Result<T, Violation> {
    text(|raw| raw.parse().map_err(|_| Violation::new("invalid_id", "must be a UUID")))(value)
}

/// What a query has as text and a body as JSON: a number, `true` or `false`.
pub(crate) fn in_query<T>(
    parse: impl FnOnce(&Value) -> Result<T, Violation>,
) -> impl FnOnce(&Value) -> Result<T, Violation> {
    move |value| {
        let spelled = value.as_str().and_then(|raw| serde_json::from_str(raw).ok());
        match spelled {
            Some(plain @ (Value::Bool(_) | Value::Number(_))) => parse(&plain),
            _ => parse(value),
        }
    }
}

/// A whole number within bounds.
pub(crate) fn integer<T>(range: RangeInclusive<T>) -> impl FnOnce(&Value) -> Result<T, Violation>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    move |value| {
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            _ => None,
        };
        let outside = || {
            let (least, most) = (range.start(), range.end());
            Violation::new("out_of_range", format!("must be {least} to {most}"))
        };
        if number.is_none() && !value.as_number().is_some_and(serde_json::Number::is_u64) {
            return Err(Violation::new("wrong_type", "must be a whole number"));
        }
        let number = number.and_then(|number| T::try_from(number).ok()).ok_or_else(outside)?;
        if range.contains(&number) { Ok(number) } else { Err(outside()) }
    }
}

/// In JSON 7.0 is 7.
fn whole(number: f64) -> Option<i64> {
    const MOST: f64 = 9_007_199_254_740_992.0; // 2^53: beyond, not every whole number is one
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
    (number.fract() == 0.0 && number.abs() <= MOST).then_some(number as i64)
}

/// `true` or `false`.
pub(crate) fn boolean(value: &Value) -> Result<bool, Violation> {
    value.as_bool().ok_or_else(|| Violation::new("wrong_type", "must be true or false"))
}

/// One of the stored names of an enum.
pub(crate) fn one_of<T: DeserializeOwned>(
    names: &'static str,
) -> impl FnOnce(&Value) -> Result<T, Violation> {
    move |value| {
        let invalid = || Violation::new("invalid_value", format!("must be one of {names}"));
        match value {
            Value::String(_) => T::deserialize(value).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::RoomType;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Example {
        name: String,
        size: u32,
        kind: Option<RoomType>,
    }

    impl FromFields for Example {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            let name = fields.required("name", text(|raw| Ok(raw.to_owned())));
            let size = fields.required("size", integer(2..=500));
            let kind = fields.optional("kind", one_of("public, private"));
            Some(Self { name: name?, size: size?, kind: kind? })
        }
    }

    fn read(value: Value) -> Result<Example, (String, Vec<String>)> {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields::new(fields).read::<Example>().map_err(|problem| {
            let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
            let errors = body["errors"].as_array().unwrap().iter();
            let line = |e: &Value| format!("{} {}", e["pointer"], e["code"]).replace('"', "");
            (problem.code().to_owned(), errors.map(line).collect())
        })
    }

    #[test]
    fn correct_fields_are_read_and_null_is_absent() {
        let example = Example { name: "x".into(), size: 2, kind: None };
        assert_eq!(read(json!({"name": "x", "size": 2})), Ok(example));
        let kind = Some(RoomType::Private);
        let example = Example { name: "x".into(), size: 500, kind };
        assert_eq!(read(json!({"name": "x", "size": 500, "kind": "private"})), Ok(example));
        assert!(read(json!({"name": "x", "size": 2, "kind": null})).is_ok());
        assert!(read(json!({"name": "x", "size": 2.0})).is_ok());
        assert!(read(json!({"name": "x", "size": 2.5})).is_err());
    }

    #[test]
    fn numbers_and_truth_values_are_text_in_queries_only() {
        assert!(read(json!({"name": "x", "size": "500"})).is_err());
        for (text, number) in
            [("7", Some(7)), ("-7", Some(-7)), ("x", None), ("1.5", None), ("", None)]
        {
            let text = json!(text);
            assert_eq!(in_query(integer(-9..=9))(&text).ok(), number, "{text}");
            assert!(integer(-9..=9)(&text).is_err(), "{text}");
        }
        assert_eq!(in_query(boolean)(&json!("true")), Ok(true));
        assert!(in_query(boolean)(&json!("yes")).is_err());
        assert!(boolean(&json!("true")).is_err());
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let (code, errors) = read(json!({"name": 7, "size": 501, "kind": "secret"})).unwrap_err();
        assert_eq!(code, "validation_failed");
        assert_eq!(errors, ["/name wrong_type", "/size out_of_range", "/kind invalid_value"]);
    }

    #[test]
    fn a_foreign_field_is_named_with_a_pointer() {
        let (code, errors) = read(json!({"size": 1.5, "is/admin~": true})).unwrap_err();
        assert_eq!(code, "unknown_field");
        assert_eq!(errors, ["/is~1admin~0 unknown_field", "/name required", "/size wrong_type"]);
    }

    #[derive(Debug, PartialEq)]
    struct Edit {
        name: Change<Option<String>>,
        inner: Option<Example>,
        tags: Option<Vec<String>>,
    }

    impl FromFields for Edit {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            let name = fields.change("name", text(|raw| Ok(raw.to_owned())));
            let inner = fields.nested("inner");
            let tags = fields.optional("tags", list(2, |tag| text(|raw| Ok(raw.to_owned()))(tag)));
            Some(Self { name: name?, inner: inner?, tags: tags? })
        }
    }

    fn read_edit(value: Value) -> Result<Edit, Vec<String>> {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields::new(fields).read::<Edit>().map_err(|problem| {
            let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
            let errors = body["errors"].as_array().unwrap().iter();
            let line = |e: &Value| format!("{} {}", e["pointer"], e["code"]).replace('"', "");
            std::iter::once(problem.code().to_owned()).chain(errors.map(line)).collect()
        })
    }

    #[test]
    fn an_edit_tells_absent_from_null() {
        let edit = |value| read_edit(value).unwrap().name;
        assert_eq!(edit(json!({})), Change::Keep);
        assert_eq!(edit(json!({"name": null})), Change::Set(None));
        assert_eq!(edit(json!({"name": "x"})), Change::Set(Some("x".to_owned())));
    }

    #[test]
    fn errors_of_an_inner_object_say_where_they_are() {
        let inner = json!({"name": "x", "size": 1, "role": "admin"});
        assert_eq!(
            read_edit(json!({"inner": inner, "tags": ["a", 7]})).unwrap_err(),
            [
                "unknown_field",
                "/inner/role unknown_field",
                "/inner/size out_of_range",
                "/tags wrong_type"
            ]
        );
        assert_eq!(
            read_edit(json!({"inner": [], "tags": ["a", "b", "c"]})).unwrap_err(),
            ["validation_failed", "/inner wrong_type", "/tags too_many"]
        );
    }

    #[test]
    fn a_search_is_short_and_has_no_controls() {
        assert_eq!(search("  alge ").unwrap().as_deref(), Some("alge"));
        assert_eq!(search(" ").unwrap(), None);
        assert_eq!(search("a\0").unwrap_err().code, "invalid_characters");
        assert_eq!(search(&"é".repeat(101)).unwrap_err().code, "too_long");
    }

    #[test]
    fn numbers_of_any_size_are_answered() {
        for (size, code) in [
            (json!(u64::MAX), "out_of_range"),
            (json!(-1), "out_of_range"),
            (json!(1e300), "wrong_type"),
            (json!("99999999999999999999"), "wrong_type"),
            (json!(true), "wrong_type"),
        ] {
            let (_, errors) = read(json!({"name": "x", "size": size})).unwrap_err();
            assert_eq!(errors, [format!("/size {code}")]);
        }
    }
}
