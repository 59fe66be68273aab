//! What e-mails say, as text and as HTML.
use std::fmt::Write as _;

/// One e-mail: paragraphs, perhaps with a link and a code that does the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: &'static str,
    before: &'static str,
    link: Option<Link>,
    code: Option<String>,
    after: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    label: &'static str,
    url: String,
}

impl Letter {
    pub(crate) fn verify_email(url: String, code: String) -> Self {
        Self {
            code: Some(code),
            ..Self::with_link(
                "Confirm your e-mail address",
                "Somebody, hopefully you, opened a Studyhall account with this e-mail address. \
                 Please confirm that it is yours.",
                Link { label: "Confirm the address", url },
                "If it was not you, do nothing: the address stays unconfirmed.",
            )
        }
    }

    pub(crate) fn already_registered() -> Self {
        Self::plain(
            "You have an account already",
            "Somebody, hopefully you, wanted to open a Studyhall account with this e-mail address. \
             There is one already: log in, or ask for a new password if you do not know yours.",
            "If it was not you, there is nothing to do: nobody got in.",
        )
    }

    pub(crate) fn reset_password(url: String) -> Self {
        Self::with_link(
            "Choose a new password",
            "Somebody, hopefully you, asked for a new password for the Studyhall account of this \
             e-mail address.",
            Link { label: "Choose a new password", url },
            "If it was not you, do nothing: the password stays as it is.",
        )
    }

    pub(crate) fn password_changed() -> Self {
        Self::plain(
            "Your password was changed",
            "The password of your Studyhall account was changed, and other devices were logged out.",
            "If it was not you, ask for a new password at once.",
        )
    }

    pub(crate) fn leave_address(url: String) -> Self {
        Self::with_link(
            "Confirm that your account may move",
            "Somebody, hopefully you, wants to move your Studyhall account from this e-mail address \
             to another one. Both addresses have to agree.",
            Link { label: "Agree", url },
            "If it was not you, do nothing and change your password: somebody knows it.",
        )
    }

    pub(crate) fn take_address(url: String) -> Self {
        Self::with_link(
            "Confirm your new e-mail address",
            "Somebody, hopefully you, wants to move a Studyhall account to this e-mail address. \
             The address it has now has to agree as well.",
            Link { label: "Confirm the address", url },
            "If it was not you, do nothing.",
        )
    }

    pub(crate) fn address_changed() -> Self {
        Self::plain(
            "Your e-mail address was changed",
            "Your Studyhall account has another e-mail address now. This one does not open it any \
             more.",
            "If it was not you, write to us at once.",
        )
    }

    pub(crate) fn phone_changed() -> Self {
        Self::plain(
            "Your phone number was changed",
            "Your Studyhall account has another phone number now, which opens it. The one before does \
             not open it any more.",
            "If it was not you, ask for a new password at once, and give the account your number again.",
        )
    }

    pub(crate) fn deletion_requested() -> Self {
        Self::plain(
            "Your account is going to be deleted",
            "Your Studyhall account was closed, because somebody, hopefully you, asked us to delete it. \
             In a while everything that we keep of you will be unreadable for good.",
            "If it was you who asked and you want to keep the account after all, log in before that. If it \
             was not you, log in at once and change your password, or write to us.",
        )
    }

    pub(crate) fn data_exported() -> Self {
        Self::plain(
            "A copy of your data was asked for",
            "Somebody, hopefully you, asked for a copy of everything that we keep of you, and knew your \
             password.",
            "If it was not you, change your password at once.",
        )
    }

    pub(crate) fn token_reused() -> Self {
        Self::plain(
            "One of your devices was logged out",
            "A key to your Studyhall account that was used up came back. Somebody may have copied it \
             from one of your devices, so we logged that device out.",
            "Log in again. If you see devices that are not yours in the list of your sessions, \
             change your password.",
        )
    }

    /// For developers, in place of a text message.
    pub(crate) fn one_time_code(code: String) -> Self {
        let before = "This is where a text message would have gone.";
        Self { code: Some(code), ..Self::plain("Your one-time code", before, "It works once.") }
    }

    fn plain(subject: &'static str, before: &'static str, after: &'static str) -> Self {
        Self { subject, before, link: None, code: None, after }
    }

    fn with_link(
        subject: &'static str,
        before: &'static str,
        link: Link,
        after: &'static str,
    ) -> Self {
        Self { link: Some(link), ..Self::plain(subject, before, after) }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.before);
        // Writing to a string cannot fail.
        if let Some(Link { label, url }) = &self.link {
            let _ = write!(text, "\n{label}:\n{url}\n");
        }
        if let Some(code) = &self.code {
            let _ = write!(text, "\nOr type this code: {code}\n");
        }
        let _ = write!(text, "\n{}\n", self.after);
        text
    }

    pub(crate) fn html(&self) -> String {
        let mut html = String::from("<!DOCTYPE html>\n<html lang=\"en\"><body>\n");
        let _ = writeln!(html, "<p>{}</p>", escape(self.before));
        if let Some(Link { label, url }) = &self.link {
            let _ = writeln!(html, "<p><a href=\"{}\">{}</a></p>", escape(url), escape(label));
        }
        if let Some(code) = &self.code {
            let _ = writeln!(html, "<p>Or type this code: <b>{}</b></p>", escape(code));
        }
        let _ = writeln!(html, "<p>{}</p>\n</body></html>", escape(self.after));
        html
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_say_the_same() {
        let letter = Letter::verify_email("https://x.org/v#token=a&b".into(), "012345".into());
        let text = letter.text();
        assert!(text.contains("\nhttps://x.org/v#token=a&b\n") && text.contains("code: 012345\n"));
        let html = letter.html();
        assert!(html.contains("href=\"https://x.org/v#token=a&amp;b\""), "{html}");
        assert!(html.contains("<b>012345</b>"), "{html}");
    }

    #[test]
    fn a_notice_has_neither_link_nor_code() {
        let letter = Letter::already_registered();
        assert!(!letter.html().contains("href") && !letter.text().contains("code"));
    }
}
