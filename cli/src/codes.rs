//! What only who knows both halves can check: sockets refuse with codes that have a page.

#[test]
fn every_code_that_sockets_answer_has_a_page() {
    assert!(realtime::CODES.contains(&"unknown_event"));
    for code in realtime::CODES {
        assert!(api::problems::find(code).is_some(), "{code}");
    }
}
