//! E-mails, as the catcher keeps them: one file each.
use std::{fs, path::Path};

use crate::{LIMIT, World, eventually};

/// An e-mail that was caught.
#[derive(Clone, Debug)]
pub struct Mail {
    /// As it came, headers and all.
    pub raw: String,
    /// What its lines say, without the encoding of the transport.
    pub text: String,
}

impl Mail {
    fn read(path: &Path) -> Option<Self> {
        let raw = fs::read_to_string(path).ok()?;
        Some(Self { text: decoded(&raw), raw })
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.raw.lines().take_while(|line| !line.is_empty());
        lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The token of its link.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn token(&self) -> String {
        let (_, rest) = self.text.split_once("#token=").expect("a link");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
    }

    /// The digits that can be typed instead.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn code(&self) -> String {
        let (_, rest) = self.text.split_once("this code: ").expect("a code");
        rest.chars().take_while(char::is_ascii_digit).collect()
    }
}

/// Quoted-printable (RFC 2045, section 6.7), where it was used.
fn decoded(raw: &str) -> String {
    if !raw.to_ascii_lowercase().contains("quoted-printable") {
        return raw.to_owned();
    }
    let joined = raw.replace("=\r\n", "").replace("=\n", "");
    let mut text = String::new();
    let mut rest = joined.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        text.push_str(before);
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        text.push(byte.map_or('=', char::from));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    text + rest
}

impl World {
    /// An address of this test alone: what is caught is shared.
    #[must_use]
    pub fn address(&self, name: &str) -> String {
        format!("{name}.{}@people.example", self.name)
    }

    /// Every e-mail to this address so far, with this subject, the oldest first.
    ///
    /// # Panics
    /// When nothing catches e-mails.
    #[must_use]
    pub fn mails_to(&self, address: &str, subject: &str) -> Vec<Mail> {
        let folder = self.servers.mails.as_ref().expect("STUDYHALL_TEST_MAIL_DIR is set");
        let Ok(files) = fs::read_dir(folder.join("new")) else { return Vec::new() };
        let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.sort_by_key(|path| fs::metadata(path).and_then(|it| it.modified()).ok());
        let mails = files.iter().filter_map(|path| Mail::read(path));
        let fits = |mail: &Mail| {
            mail.header("To") == Some(address) && mail.header("Subject") == Some(subject)
        };
        mails.filter(fits).collect()
    }

    /// The newest of at least `count` e-mails to this address with this subject.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn mail_to(&self, address: &str, subject: &str, count: usize) -> Mail {
        eventually(&format!("{count} e-mails: {subject}"), LIMIT, async || {
            let mails = self.mails_to(address, subject);
            if mails.len() >= count { mails.last().cloned() } else { None }
        })
        .await
    }
}
