//! Whether the time of an answer tells that there is an account: refused logins and registrations, 200 of
//! each kind, in turns.
use std::time::Instant;

use serde_json::{Value, json};
use tests::{
    TestApp,
    app::{PASSWORD, email},
};

use crate::report::{Report, Target};

const REQUESTS: usize = 200;
/// The first ones warm up.
const WARM_UP: usize = 10;

pub(crate) async fn run(report: &mut Report) {
    let mut app = TestApp::builder()
        .setting("ACCOUNTS__ARGON2_MEMORY_KIB", "19456")
        .setting("ACCOUNTS__ARGON2_ITERATIONS", "2")
        .setting("ACCOUNTS__RESEND_SECONDS", "0")
        .setting("PHONE__LOG_CODES", "true")
        .start()
        .await;
    logins(&app, report).await;
    registrations(&mut app, report).await;
    app.finish().await;
}

async fn logins(app: &TestApp, report: &mut Report) {
    app.as_user("ana").await;
    let phone = with_number(app).await;
    let kinds = [
        json!({"email": email("ana"), "password": "not the password"}),
        json!({"email": email("nobody"), "password": "not the password"}),
        json!({"phone": phone, "password": "not the password"}),
    ];
    let mut times: [Vec<f64>; 3] = Default::default();
    // In turns, so that whatever else the machine does meets them alike.
    for turn in 0..WARM_UP + REQUESTS {
        for (kind, times) in kinds.iter().zip(&mut times) {
            let begun = Instant::now();
            login(app, kind).await;
            if turn >= WARM_UP {
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let [known, unknown, phone_only] = times;
    compare(report, "refused logins, known and unknown", &known, &unknown);
    compare(report, "refused logins, known and phone-only", &known, &phone_only);
}

/// Where accounts work after their address is proven, whoever registers one that is taken is answered as
/// for a free one. Each is registered once: more often would be something else.
async fn registrations(app: &mut TestApp, report: &mut Report) {
    let address = |app: &TestApp, kind: &str, n: usize| app.world.address(&format!("{kind}{n}"));
    for n in 0..WARM_UP + REQUESTS {
        for kind in ["proven", "open"] {
            register(app, &address(app, kind, n), 201).await;
        }
        let proven = address(app, "proven", n);
        let mail = app.world.mail_to(&proven, "Confirm your e-mail address", 1).await;
        let proof = json!({"token": mail.token()});
        app.anyone().post("/api/auth/email/verify").json(&proof).await.assert_status(200);
    }
    app.set("ACCOUNTS__REGISTRATION_MODE", "verified");
    app.restart(0).await;
    let mut times: [Vec<f64>; 3] = Default::default();
    for turn in 0..WARM_UP + REQUESTS {
        for (kind, times) in ["free", "proven", "open"].into_iter().zip(&mut times) {
            let address = address(app, kind, turn);
            let begun = Instant::now();
            register(app, &address, 202).await;
            if turn >= WARM_UP {
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let [free, proven, open] = times;
    compare(report, "registrations, free and taken", &free, &proven);
    compare(report, "registrations, free and not yet proven", &free, &open);
}

async fn register(app: &TestApp, address: &str, status: u16) {
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Somebody"});
    app.anyone().post("/api/auth/register").json(&body).await.assert_status(status);
}

fn compare(report: &mut Report, what: &str, one: &[f64], other: &[f64]) {
    let apart = (median(other) / median(one) - 1.0).abs() * 100.0;
    let name = format!("{what}: medians apart");
    report.absolute(&name, (apart, "%"), Target::AtMost(5.0));
    let name = format!("{what}: Mann-Whitney p");
    report.absolute(&name, (mann_whitney(one, other), ""), Target::AtLeast(0.01));
}

async fn login(app: &TestApp, body: &Value) {
    app.anyone().post("/api/auth/login").json(body).await.assert_status(401);
}

/// Opens an account that has a number and no password.
async fn with_number(app: &TestApp) -> String {
    let digits: String = app.world.name.bytes().map(|b| char::from(b'0' + b % 10)).collect();
    let phone = format!("+49{}", &digits[digits.len() - 10..]);
    let asked = app.anyone().post("/api/auth/phone/send-otp").json(&json!({"phone": phone})).await;
    asked.assert_status(202);
    let address = format!("{}@sms.localhost.localdomain", &phone[1..]);
    let code = app.world.mail_to(&address, "Your one-time code", 1).await.code();
    let body = json!({"phone": phone, "code": code});
    app.anyone().post("/api/auth/phone/verify").json(&body).await.assert_status(201);
    phone
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The two-sided p of the Mann-Whitney U test, by its normal approximation.
fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let wins = one
        .iter()
        .flat_map(|here| other.iter().map(move |there| f64::from(u8::from(here > there))));
    let wins: f64 = wins.sum();
    let (n, m) = (one.len() as f64, other.len() as f64);
    let spread = (n * m * (n + m + 1.0) / 12.0).sqrt();
    let z = ((wins - n * m / 2.0).abs() - 0.5).max(0.0) / spread;
    // The tail of the normal distribution (Abramowitz and Stegun, 26.2.17).
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let polynomial = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    2.0 * polynomial * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}
