//! E-mail over SMTP: one connection pool, one sender.
mod letters;

use std::{fmt, time::Duration};

use domain::text::Email;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
};
use platform::config;
use secrecy::ExposeSecret as _;

pub(crate) use letters::Letter;

use crate::BoxError;

/// Sends e-mails, or only says that it would.
#[derive(Clone)]
pub struct Mailer {
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
}

/// What became of an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The mail server has it.
    Taken,
    /// There is no mail server.
    Off,
    /// The mail server will never take it, or nobody can have this address.
    Refused,
}

impl Mailer {
    /// Reads the settings. Connects when there is something to send.
    ///
    /// # Errors
    /// When `mail.url` or `mail.from` cannot be used.
    pub fn new(settings: &config::Mail) -> Result<Self, BoxError> {
        let from = settings.from.parse()?;
        let url = settings.url.expose_secret();
        let transport = if url.is_empty() {
            None
        } else {
            let timeout = Duration::from_millis(settings.timeout_ms);
            let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?;
            Some(builder.timeout(Some(timeout)).build())
        };
        Ok(Self { transport, from })
    }

    /// Sends one e-mail. `name` makes its Message-ID: the same e-mail sent twice has it twice.
    ///
    /// # Errors
    /// When the mail server does not answer, or asks to be left alone for a while.
    pub(crate) async fn send(
        &self,
        to: &Email,
        name: &str,
        letter: &Letter,
    ) -> Result<Sent, BoxError> {
        let Some(transport) = &self.transport else { return Ok(Sent::Off) };
        let Ok(address) = to.as_str().parse() else { return Ok(Sent::Refused) };
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            .subject(letter.subject)
            .message_id(Some(format!("<{name}@{}>", self.from.email.domain())))
            .multipart(MultiPart::alternative_plain_html(letter.text(), letter.html()))?;
        match transport.send(message).await {
            Ok(_) => Ok(Sent::Taken),
            // 53x is about our own login (RFC 4954): that is ours to mend, and the mail can wait.
            Err(error)
                if error.is_permanent()
                    && !error.status().is_some_and(|code| code.to_string().starts_with("53")) =>
            {
                Ok(Sent::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("on", &self.transport.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, from: &str) -> config::Mail {
        config::Mail {
            url: url.into(),
            from: from.to_owned(),
            link_origin: String::new(),
            timeout_ms: 1000,
            retry_ms: 1000,
            max_retry_ms: 1000,
            give_up_seconds: 60,
            keep_dead_days: 1,
        }
    }

    #[tokio::test]
    async fn without_a_server_nothing_is_sent() {
        let mailer = Mailer::new(&settings("", "Studyhall <me@x.org>")).unwrap();
        let to = Email::parse("ana@x.org").unwrap();
        let letter = Letter::password_changed();
        assert_eq!(mailer.send(&to, "1", &letter).await.unwrap(), Sent::Off);
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_tried_again() {
        let mailer = Mailer::new(&settings("smtp://127.0.0.1:1", "me@x.org")).unwrap();
        let to = Email::parse("ana@x.org").unwrap();
        assert!(mailer.send(&to, "1", &Letter::password_changed()).await.is_err());
    }

    #[test]
    fn a_sender_that_is_none_is_refused() {
        assert!(Mailer::new(&settings("", "nobody")).is_err());
    }
}
