//! Reading the one object of an event, with every error at once. Fields that are not asked for are
//! refused: nobody says who they are in a payload.
use std::str::FromStr;

use commands::FieldError;
use domain::{MAX_SAFE_INTEGER, MessagePlace, Violation};
use serde_json::{Map, Value};

use crate::{codes, reply::Refusal};

/// The fields that were not taken yet, and what was wrong so far.
pub(crate) struct Fields {
    left: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn new(data: Value) -> Result<Self, Refusal> {
        match data {
            Value::Object(left) => Ok(Self { left, errors: Vec::new() }),
            _ => Err(Refusal::invalid(vec![FieldError {
                pointer: String::new(),
                code: "wrong_type",
                detail: "the event takes one object".to_owned(),
            }])),
        }
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<T> {
        let value = self.left.remove(name).filter(|value| !value.is_null());
        let parsed = match &value {
            None => Err(Violation::new("required", "must be given")),
            Some(value) => parse(value),
        };
        parsed.map_err(|violation| self.refuse(name, violation)).ok()
    }

    /// A field that may be absent or null.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Violation>,
    ) -> Option<T> {
        let value = self.left.remove(name).filter(|value| !value.is_null())?;
        parse(&value).map_err(|violation| self.refuse(name, violation)).ok()
    }

    /// Answers `read` if nothing was wrong and nothing is left over.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, Refusal> {
        let unknown = std::mem::take(&mut self.left);
        for name in unknown.keys() {
            let detail = "is not a field of this event";
            self.refuse(name, Violation::new(codes::UNKNOWN_FIELD, detail));
        }
        match read {
            Some(read) if self.errors.is_empty() => Ok(read),
            _ => Err(Refusal::invalid(self.errors)),
        }
    }

    fn refuse(&mut self, name: &str, violation: Violation) {
        // A name of any length may come in; an answer need not repeat all of it.
        let name: String = name.chars().take(100).collect();
        // RFC 6901, section 3.
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.errors.push(FieldError { pointer, code: violation.code, detail: violation.detail });
    }
}

/// A room or a conversation: one of `roomId` and `conversationId`.
fn place(fields: &mut Fields) -> Option<MessagePlace> {
    let room_id = fields.optional("roomId", id);
    match fields.optional("conversationId", id) {
        None => match room_id {
            Some(room_id) => Some(MessagePlace::Room(room_id)),
            // What was wrong with it was said already.
            None if !fields.errors.is_empty() => None,
            None => fields.required("roomId", id).map(MessagePlace::Room),
        },
        Some(conversation_id) if room_id.is_none() => {
            Some(MessagePlace::Conversation(conversation_id))
        }
        Some(_) => {
            let detail = "give one of roomId and conversationId";
            fields.refuse("conversationId", Violation::new("conflicting", detail));
            None
        }
    }
}

/// A [`place`], and a number of one of its events.
pub(crate) fn place_and_seq(fields: &mut Fields, name: &str) -> Option<(MessagePlace, i64)> {
    let place = place(fields);
    let seq = fields.required(name, seq);
    place.zip(seq)
}

/// A UUID.
pub(crate) fn id<T: FromStr>(value: &Value) -> Result<T, Violation> {
    text(value)?.parse().map_err(|_| Violation::new("invalid_id", "must be a UUID"))
}

pub(crate) fn text(value: &Value) -> Result<&str, Violation> {
    value.as_str().ok_or_else(|| Violation::new("wrong_type", "must be a string"))
}

pub(crate) fn flag(value: &Value) -> Result<bool, Violation> {
    value.as_bool().ok_or_else(|| Violation::new("wrong_type", "must be true or false"))
}

/// A number of an event, as clients count them; 0 is before the first.
pub(crate) fn seq(value: &Value) -> Result<i64, Violation> {
    whole(value, 0, MAX_SAFE_INTEGER)
}

/// A whole number within bounds.
pub(crate) fn whole(value: &Value, least: i64, most: i64) -> Result<i64, Violation> {
    if !value.is_i64() && !value.is_u64() {
        return Err(Violation::new("wrong_type", "must be a whole number"));
    }
    value
        .as_i64()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| Violation::new("out_of_range", format!("must be {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use domain::RoomId;
    use serde_json::json;

    use super::*;

    fn errors(refusal: Refusal) -> Vec<(String, &'static str)> {
        refusal.errors.into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let data = json!({ "roomId": "x", "afterSeq": -1, "senderId": "me", "a/b": 1 });
        let mut fields = Fields::new(data).unwrap();
        let room = fields.required("roomId", id::<RoomId>);
        fields.optional("afterSeq", seq);
        fields.required("content", |value| text(value).map(str::to_owned));
        let refusal = fields.finish(room).unwrap_err();
        assert_eq!(refusal.code, "unknown_field");
        assert_eq!(
            errors(refusal),
            [
                ("/roomId".to_owned(), "invalid_id"),
                ("/afterSeq".to_owned(), "out_of_range"),
                ("/content".to_owned(), "required"),
                ("/a~1b".to_owned(), "unknown_field"),
                ("/senderId".to_owned(), "unknown_field"),
            ]
        );
    }

    #[test]
    fn only_an_object_is_read() {
        for data in [json!(null), json!([]), json!("x"), json!(1)] {
            let refusal = Fields::new(data).err().unwrap();
            assert_eq!(refusal.code, "validation_failed");
            assert_eq!(errors(refusal), [(String::new(), "wrong_type")]);
        }
    }

    #[test]
    fn numbers_are_whole_and_exact() {
        assert_eq!(seq(&json!(0)), Ok(0));
        assert_eq!(seq(&json!(MAX_SAFE_INTEGER)), Ok(MAX_SAFE_INTEGER));
        for wrong in [json!(-1), json!(MAX_SAFE_INTEGER + 1), json!(u64::MAX)] {
            assert_eq!(seq(&wrong).unwrap_err().code, "out_of_range");
        }
        for wrong in [json!(1.5), json!("1"), json!(true)] {
            assert_eq!(seq(&wrong).unwrap_err().code, "wrong_type");
        }
    }

    #[test]
    fn null_is_absent() {
        let mut fields = Fields::new(json!({ "afterSeq": null })).unwrap();
        assert_eq!(fields.optional("afterSeq", seq), None);
        assert!(fields.finish(Some(())).is_ok());
    }
}
