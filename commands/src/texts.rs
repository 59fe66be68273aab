//! Text messages with one-time codes: by Twilio Verify, or to the log and the mail server of a
//! developer.
use std::{fmt, time::Duration};

use domain::text::{Email, Phone};
use platform::config;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    CommandError,
    accounts::phone::TWILIO_PAUSE,
    mail::{Letter, Mailer},
};

/// Sends codes.
pub(crate) struct Texts {
    /// Makes and checks its own codes.
    pub(crate) twilio: Option<Twilio>,
    /// Whether ours are shown to a developer: in the log, and as e-mails.
    shown: bool,
    mailer: Option<Mailer>,
}

impl Texts {
    pub(crate) fn new(phone: &config::Phone, mail: &config::Mail) -> Self {
        let twilio = (!phone.twilio_account.is_empty()).then(|| Twilio::new(phone));
        Self { twilio, shown: phone.log_codes, mailer: Mailer::new(mail).ok() }
    }

    /// Sends a code; Twilio makes its own.
    ///
    /// # Errors
    /// [`CommandError::Limited`] when Twilio has had enough, [`CommandError::Unavailable`] when
    /// nobody sends it.
    pub(crate) async fn send(
        &self,
        phone: &Phone,
        id: Uuid,
        code: &str,
    ) -> Result<(), CommandError> {
        if let Some(twilio) = &self.twilio {
            return twilio.send(phone).await;
        }
        if !self.shown {
            return Err(CommandError::unavailable(
                "text messages are not set up: see [phone] in the settings",
            ));
        }
        tracing::info!(verification.id = %id, "a one-time code, in the open for development: {code}");
        if let Some(mailer) = &self.mailer {
            let to = format!("{}@sms.localhost.localdomain", &phone.as_str()[1..]);
            let to = Email::parse(&to).map_err(CommandError::unavailable)?;
            let letter = Letter::one_time_code(code.to_owned());
            mailer.send(&to, &id.to_string(), &letter).await.map_err(CommandError::unavailable)?;
        }
        Ok(())
    }
}

/// Twilio Verify, version 2: <https://www.twilio.com/docs/verify/api/verification>.
pub(crate) struct Twilio {
    http: reqwest::Client,
    account: String,
    token: SecretString,
    service: String,
}

/// What Twilio answers: <https://www.twilio.com/docs/verify/api/verification-check>.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: Option<serde_json::Value>,
    #[serde(default)]
    code: Option<u32>,
}

/// Five codes were sent, or five guesses made: <https://www.twilio.com/docs/api/errors/60203>.
const MAX_SENDS: u32 = 60203;
const MAX_CHECKS: u32 = 60202;

impl Twilio {
    fn new(settings: &config::Phone) -> Self {
        let timeout = Duration::from_millis(settings.timeout_ms);
        let http = reqwest::Client::builder().timeout(timeout).build().unwrap_or_default();
        Self {
            http,
            account: settings.twilio_account.clone(),
            token: settings.twilio_token.clone(),
            service: format!("{}/v2/Services/{}", settings.twilio_origin, settings.twilio_service),
        }
    }

    async fn send(&self, phone: &Phone) -> Result<(), CommandError> {
        let form = [("To", phone.as_str()), ("Channel", "sms")];
        let (status, answer) = self.post("Verifications", &form).await?;
        if status.is_success() { Ok(()) } else { Err(trouble(status, answer.code)) }
    }

    /// Whether this is the code that Twilio sent last.
    pub(crate) async fn check(&self, phone: &Phone, code: &str) -> Result<bool, CommandError> {
        let form = [("To", phone.as_str()), ("Code", code)];
        let (status, answer) = self.post("VerificationCheck", &form).await?;
        // Nothing is under way for this number: expired, or used.
        if status == reqwest::StatusCode::NOT_FOUND {
            return Ok(false);
        }
        if !status.is_success() {
            return Err(trouble(status, answer.code));
        }
        Ok(answer.status.is_some_and(|status| status == "approved"))
    }

    async fn post(
        &self,
        what: &str,
        form: &[(&str, &str)],
    ) -> Result<(reqwest::StatusCode, Answer), CommandError> {
        let request = self.http.post(format!("{}/{what}", self.service)).form(form);
        let request = request.basic_auth(&self.account, Some(self.token.expose_secret()));
        // Without its URL: the error is logged, and needs no more than what happened.
        let failed = |error: reqwest::Error| CommandError::unavailable(error.without_url());
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let answer = response.json().await.unwrap_or(Answer { status: None, code: None });
        Ok((status, answer))
    }
}

fn trouble(status: reqwest::StatusCode, code: Option<u32>) -> CommandError {
    let limited =
        |code, message| CommandError::Limited { code, message, retry_after: TWILIO_PAUSE };
    match code {
        Some(MAX_SENDS) => limited("rate_limited", "too many codes were sent to this number"),
        Some(MAX_CHECKS) => limited("otp_attempts_exceeded", "too many wrong codes"),
        _ => CommandError::unavailable(format!("Twilio answers {status} with code {code:?}")),
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("twilio", &self.twilio.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_twilio_are_limits_and_the_rest_is_trouble() {
        let busy = reqwest::StatusCode::TOO_MANY_REQUESTS;
        for (code, ours) in [(60203, "rate_limited"), (60202, "otp_attempts_exceeded")] {
            let error = trouble(busy, Some(code));
            assert!(matches!(error, CommandError::Limited { code, .. } if code == ours));
        }
        let error = trouble(reqwest::StatusCode::UNAUTHORIZED, Some(20003));
        assert!(matches!(error, CommandError::Unavailable(_)));
    }
}
