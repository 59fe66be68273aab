//! The table and the JSON file.
use std::{fs, process::Command};

use platform::{Clock as _, SystemClock};
use serde::Serialize;

/// One figure beside its yardstick.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it is compared with, measured in the same run.
    pub(crate) yardstick: String,
    pub(crate) yardstick_value: Option<f64>,
    /// `value / yardstick_value`, or the value itself where the target is absolute.
    pub(crate) compared: f64,
    pub(crate) target: Target,
}

/// What the compared figure should be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

/// All figures of one run.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure compared with another one of this run.
    pub(crate) fn ratio(
        &mut self,
        name: &str,
        (value, unit): (f64, &'static str),
        (yardstick, yardstick_value): (&str, f64),
        target: Target,
    ) {
        self.push(Row {
            name: name.to_owned(),
            value,
            unit,
            yardstick: yardstick.to_owned(),
            yardstick_value: Some(yardstick_value),
            compared: value / yardstick_value,
            target,
        });
    }

    /// A figure with a target of its own.
    pub(crate) fn absolute(
        &mut self,
        name: &str,
        (value, unit): (f64, &'static str),
        target: Target,
    ) {
        self.push(Row {
            name: name.to_owned(),
            value,
            unit,
            yardstick: String::new(),
            yardstick_value: None,
            compared: value,
            target,
        });
    }

    fn push(&mut self, row: Row) {
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// Prints the whole table and writes the file.
    pub(crate) fn finish(&self) {
        let conditions = conditions();
        println!("\n{conditions}\n");
        for row in &self.rows {
            println!("{}", line(row));
        }
        let at = SystemClock.now();
        let json = serde_json::json!({ "at": at, "conditions": conditions, "rows": self.rows });
        fs::create_dir_all("bench-results").unwrap();
        let path = format!("bench-results/{}.json", at.format("%Y%m%dT%H%M%SZ"));
        fs::write(&path, serde_json::to_string_pretty(&json).unwrap()).unwrap();
        println!("\nwritten to {path}");
    }
}

fn line(row: &Row) -> String {
    let verdict = if row.target.is_met(row.compared) { "met" } else { "MISSED" };
    let beside = row.yardstick_value.map_or_else(String::new, |value| {
        format!("  {value:>10.2} {} {:<34} x{:.2}", row.unit, row.yardstick, row.compared)
    });
    format!(
        "{:<46} {:>10.2} {:<5}{beside:<70} {:>8} {verdict}",
        row.name,
        row.value,
        row.unit,
        row.target.text()
    )
}

/// What the figures depend on.
fn conditions() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default()
    };
    format!(
        "{cores} cores shared by servers, system under test and load generator; {}; {}; fsync on",
        run("uname", &["-sr"]),
        run("postgres", &["--version"]),
    )
}
