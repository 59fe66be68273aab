//! `docs/api.md` says which test shows what: every test it names exists, and no route is left out.
use std::{collections::BTreeSet, fs, path::Path};

use tests::TestApp;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The cells of each row of the tables.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let lines = || text.lines();
    // What stands above the line under it is the head of a table.
    let followed = lines().zip(lines().skip(1).chain([""]));
    let rows = followed.filter(|(line, next)| line.starts_with("| ") && !next.starts_with("|---"));
    let cells =
        |row: &str| row.trim_matches('|').split(" | ").map(|c| c.trim().to_owned()).collect();
    rows.map(|(row, _)| cells(row)).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Every function of the tests, by its name alone.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

/// The codes that the sources of a crate give to one field, but for those of its tests.
fn codes_of_fields(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_tests = path.file_stem().is_some_and(|name| name == "tests");
        if is_tests {
            continue;
        }
        if path.is_dir() {
            codes_of_fields(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let made = text.split("Violation::new(").skip(1).map(str::trim_start);
            let given = text.split("FieldError {").skip(1).filter_map(|it| it.split_once("code:"));
            for rest in made.chain(given.map(|(_, rest)| rest.trim_start())) {
                let literal = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
                found.extend(literal.map(str::to_owned));
            }
        }
    }
}

#[tokio::test]
async fn every_code_of_a_field_is_in_the_registry() {
    let mut made = BTreeSet::new();
    for folder in ["api", "commands", "domain", "realtime"] {
        codes_of_fields(&root().join(folder).join("src"), &mut made);
    }
    let app = TestApp::start().await;
    let page = app.anyone().get("/api/problems").await.assert_status(200);
    let codes = |list: &str| -> BTreeSet<String> {
        let list = page[list].as_array().unwrap();
        list.iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    };
    let (answers, fields) = (codes("data"), codes("fields"));
    let unknown: Vec<_> =
        made.iter().filter(|it| !answers.contains(*it) && !fields.contains(*it)).collect();
    assert!(unknown.is_empty(), "in no registry: {unknown:?}");
    let unused: Vec<_> = fields.difference(&made).collect();
    assert!(unused.is_empty() && made.len() > 20, "nothing gives: {unused:?}");
    app.finish().await;
}

#[test]
fn the_tests_that_the_description_of_the_api_names_exist() {
    let mut known = BTreeSet::new();
    for folder in ["tests", "api", "realtime", "commands", "domain"] {
        functions(&root().join(folder), &mut known);
    }
    let rows = rows();
    assert!(rows.len() > 20, "the tables are found");
    for row in &rows {
        let tests: Vec<&str> = quoted(row.last().unwrap()).collect();
        assert!(!tests.is_empty(), "nothing shows this: {row:?}");
        // A path says where the one before it stands.
        for test in tests.into_iter().filter(|test| !test.contains('/')) {
            let name = test.rsplit("::").next().unwrap();
            assert!(known.contains(name), "there is no test {test}");
        }
    }
}

#[tokio::test]
async fn no_route_is_left_out_of_the_description_of_the_api() {
    let app = TestApp::start().await;
    let described = app.anyone().get("/api/openapi.json").await.assert_status(200);
    app.finish().await;
    let mut listed = BTreeSet::new();
    for row in rows() {
        let mut methods = Vec::new();
        let words = quoted(&row[0]).flat_map(|text| text.split([' ', ',']));
        for word in words {
            if METHODS.contains(&word) {
                methods.push(word.to_owned());
            } else if word.starts_with('/') {
                let path = word.split('?').next().unwrap();
                listed.extend(methods.drain(..).map(|method| format!("{method} {path}")));
            }
        }
    }
    let missing: Vec<String> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |m| format!("{} {path}", m.to_uppercase()))
        })
        .filter(|route| !listed.contains(route) && route.contains(" /api/"))
        .collect();
    assert!(missing.is_empty(), "in no row of docs/api.md: {missing:#?}");
}
