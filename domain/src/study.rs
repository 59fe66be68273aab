//! How people study: subjects and levels, languages, and when they have time.
use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use icu_locale_core::LanguageIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{SubjectId, Violation};

/// How much someone knows of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyLevel {
    /// Just began.
    Beginner,
    /// Gets along.
    Intermediate,
    /// Knows it well.
    Advanced,
}

/// What someone wants of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyRole {
    /// To learn it.
    #[default]
    Learn,
    /// To teach it.
    Teach,
}

/// A subject on someone's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudySubject {
    /// Which.
    pub subject_id: SubjectId,
    /// Where they did not say: `None`.
    pub level: Option<StudyLevel>,
    /// To learn or to teach.
    pub role: StudyRole,
    /// Since when it is on the profile.
    pub added_at: DateTime<Utc>,
}

/// A language as BCP 47 names it, in canonical case: `pt-BR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// Languages that one person may name.
    pub const MOST: usize = 10;

    /// Checks the form: a language, perhaps a script, a region and variants (RFC 5646, section 2.1,
    /// without extensions). Whether somebody speaks it is not for us to say.
    ///
    /// # Errors
    /// A [`Violation`] with `invalid_language`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let invalid = || Violation::new("invalid_language", "not a language tag, e.g. de or pt-BR");
        if raw.len() > 35 {
            return Err(invalid());
        }
        let tag = LanguageIdentifier::from_str(raw).map_err(|_| invalid())?;
        if tag.language.is_unknown() { Err(invalid()) } else { Ok(Self(tag.to_string())) }
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A time zone of the IANA database: `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeZone(String);

impl TimeZone {
    /// Checks that there is such a zone.
    ///
    /// # Errors
    /// A [`Violation`] with `invalid_time_zone`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let zone = chrono_tz::Tz::from_str(raw).map_err(|_| {
            Violation::new("invalid_time_zone", "not an IANA time zone, e.g. Europe/Berlin")
        })?;
        Ok(Self(zone.name().to_owned()))
    }

    /// The zone's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "days are known")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A time of day to the minute, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Checks the form.
    ///
    /// # Errors
    /// A [`Violation`] with `invalid_time`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let number = |digits: &str| {
            (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| digits.parse::<u16>().ok())
                .flatten()
        };
        let minutes = raw
            .split_once(':')
            .and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)))
            .filter(|(_, minutes)| *minutes < 60)
            .map(|(hours, minutes)| hours * 60 + minutes)
            .filter(|minutes| *minutes <= 24 * 60);
        minutes
            .map(Self)
            .ok_or_else(|| Violation::new("invalid_time", "not a time from 00:00 to 24:00"))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Part of a day of the week in which someone has time, on their own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimeSlot {
    /// Which day.
    pub day: Day,
    /// When it begins.
    pub from: TimeOfDay,
    /// When it is over.
    pub to: TimeOfDay,
}

impl TimeSlot {
    /// Slots that one person may name.
    pub const MOST: usize = 50;

    /// Puts slots in order.
    ///
    /// # Errors
    /// A [`Violation`] with `too_many`, `invalid_time` (a slot that ends before it begins) or
    /// `overlapping`.
    pub fn week(mut slots: Vec<Self>) -> Result<Vec<Self>, Violation> {
        if slots.len() > Self::MOST {
            return Err(Violation::new("too_many", format!("at most {} entries", Self::MOST)));
        }
        if slots.iter().any(|slot| slot.from >= slot.to) {
            return Err(Violation::new("invalid_time", "every entry must end after it begins"));
        }
        slots.sort_unstable();
        let overlap = |pair: &[Self]| pair[0].day == pair[1].day && pair[1].from < pair[0].to;
        if slots.windows(2).any(overlap) {
            return Err(Violation::new("overlapping", "entries of one day must not overlap"));
        }
        Ok(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_one_spelling() {
        for (raw, tag) in [
            ("de", "de"),
            ("PT-br", "pt-BR"),
            ("zh-hANS-cn", "zh-Hans-CN"),
            ("sl-rozaj", "sl-rozaj"),
        ] {
            assert_eq!(LanguageTag::parse(raw).unwrap().as_str(), tag);
        }
        for wrong in
            ["", "und", "klingonish", "de DE", "e", "de-", "<b>", "en-US-x-private-and-long"]
        {
            assert_eq!(LanguageTag::parse(wrong).unwrap_err().code, "invalid_language", "{wrong}");
        }
    }

    #[test]
    fn a_time_zone_is_one_of_the_database() {
        assert_eq!(TimeZone::parse("Europe/Berlin").unwrap().as_str(), "Europe/Berlin");
        assert_eq!(TimeZone::parse("UTC").unwrap().as_str(), "UTC");
        for wrong in ["", "Berlin", "+01:00", "europe/berlin", "Europe/Berlin\0"] {
            assert_eq!(TimeZone::parse(wrong).unwrap_err().code, "invalid_time_zone", "{wrong}");
        }
    }

    #[test]
    fn a_time_of_day_is_read_and_written_alike() {
        for text in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(TimeOfDay::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "9:00", "24:01", "12:60", "12:+1", "12-30", "12:3०", "99999:00"] {
            assert_eq!(TimeOfDay::parse(wrong).unwrap_err().code, "invalid_time", "{wrong}");
        }
    }

    fn slot(day: Day, from: &str, to: &str) -> TimeSlot {
        TimeSlot { day, from: TimeOfDay::parse(from).unwrap(), to: TimeOfDay::parse(to).unwrap() }
    }

    #[test]
    fn the_slots_of_a_week_are_in_order_and_apart() {
        let (late, early) =
            (slot(Day::Monday, "18:00", "20:00"), slot(Day::Monday, "08:00", "18:00"));
        let sunday = slot(Day::Sunday, "00:00", "24:00");
        assert_eq!(TimeSlot::week(vec![sunday, late, early]).unwrap(), [early, late, sunday]);
        let code = |slots: Vec<TimeSlot>| TimeSlot::week(slots).unwrap_err().code;
        assert_eq!(code(vec![late, slot(Day::Monday, "19:59", "21:00")]), "overlapping");
        assert_eq!(code(vec![slot(Day::Monday, "10:00", "10:00")]), "invalid_time");
        assert_eq!(code(vec![sunday; 51]), "too_many");
    }
}
