//! A mail server that takes what it is told to take (RFC 5321, as little of it as is needed).
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A mail server of one test.
#[derive(Clone)]
pub struct SmtpServer {
    inner: Arc<Mutex<Inner>>,
    /// Where it listens, as a setting.
    pub url: String,
}

#[derive(Default)]
struct Inner {
    /// What is answered to mails for these addresses instead of taking them.
    refused: HashMap<String, u16>,
    /// Address and mail, in the order of their coming.
    taken: Vec<(String, String)>,
    tried: HashMap<String, usize>,
}

impl SmtpServer {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let server = Self { inner: Arc::default(), url };
        let inner = Arc::clone(&server.inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&inner)));
            }
        });
        server
    }

    /// Answers mails for an address with this code, until [`SmtpServer::take`].
    ///
    /// # Panics
    /// Never.
    pub fn refuse(&self, address: &str, code: u16) {
        self.inner.lock().unwrap().refused.insert(address.to_owned(), code);
    }

    /// Takes mails for an address from now on.
    ///
    /// # Panics
    /// Never.
    pub fn take(&self, address: &str) {
        self.inner.lock().unwrap().refused.remove(address);
    }

    /// How often somebody tried to bring a mail for an address.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn tried(&self, address: &str) -> usize {
        self.inner.lock().unwrap().tried.get(address).copied().unwrap_or_default()
    }

    /// A header of each mail that was taken for an address, in the order of their coming.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn taken(&self, address: &str, header: &str) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        let mails = inner.taken.iter().filter(|(to, _)| to == address);
        let value = |mail: &str| {
            let mut lines = mail.lines().take_while(|line| !line.is_empty());
            lines.find_map(|line| Some(line.strip_prefix(header)?.strip_prefix(": ")?.to_owned()))
        };
        mails.filter_map(|(_, mail)| value(mail)).collect()
    }
}

async fn serve(stream: TcpStream, inner: Arc<Mutex<Inner>>) -> Option<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut to = String::new();
    writer.write_all(b"220 here\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "RCPT" => {
                let address = line.split_once('<')?.1.split_once('>')?.0;
                address.clone_into(&mut to);
                let mut inner = inner.lock().unwrap();
                *inner.tried.entry(to.clone()).or_default() += 1;
                match inner.refused.get(&to) {
                    Some(code) => format!("{code} not now\r\n"),
                    None => "250 fine\r\n".to_owned(),
                }
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                loop {
                    let line = lines.next_line().await.ok()??;
                    if line == "." {
                        break;
                    }
                    mail.push_str(&line);
                    mail.push('\n');
                }
                inner.lock().unwrap().taken.push((to.clone(), mail));
                "250 taken\r\n".to_owned()
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n").await.ok()?;
                return Some(());
            }
            _ => "250 fine\r\n".to_owned(),
        };
        writer.write_all(answer.as_bytes()).await.ok()?;
    }
    Some(())
}
