//! A fresh, migrated PostgreSQL database per test: a copy of a template that is migrated once.
use std::{fs, path::Path};

use platform::ids;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use url::Url;

/// One test's database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: Url,
    admin: Url,
}

impl Database {
    /// Copies the template of today's migrations, which the first test to come makes.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create(admin: &Url) -> Self {
        let mut server = PgConnection::connect(admin.as_str()).await.expect("PostgreSQL answers");
        let template = template(&mut server, admin).await;
        let name = format!("test_{}", ids::new_id().simple());
        server
            .execute(format!("create database {name} template {template}").as_str())
            .await
            .expect("the template can be copied");
        server.close().await.ok();
        Self { url: with_name(admin, &name), name, admin: admin.clone() }
    }

    /// Drops it, whoever is still connected.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn drop(&self) {
        let mut server =
            PgConnection::connect(self.admin.as_str()).await.expect("PostgreSQL answers");
        let sql = format!("drop database if exists {} with (force)", self.name);
        server.execute(sql.as_str()).await.expect("a database can be dropped");
    }

    /// Breaks every connection to it, lets nobody in for a fifth of a second, and then everybody. Does so after
    /// `delay` round trips to the server.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn die_and_come_back(&self, delay: usize) {
        let mut server =
            PgConnection::connect(self.admin.as_str()).await.expect("PostgreSQL answers");
        for _ in 0..delay {
            server.execute("select 1").await.expect("PostgreSQL answers");
        }
        self.close_by(&mut server).await;
        server.execute("select pg_sleep(0.2)").await.expect("PostgreSQL answers");
        self.open_by(&mut server).await;
        server.close().await.ok();
    }

    /// Breaks every connection to it, and lets nobody in until [`Database::open`].
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn close(&self) {
        let mut server =
            PgConnection::connect(self.admin.as_str()).await.expect("PostgreSQL answers");
        self.close_by(&mut server).await;
        server.close().await.ok();
    }

    /// Lets everybody in again.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open(&self) {
        let mut server =
            PgConnection::connect(self.admin.as_str()).await.expect("PostgreSQL answers");
        self.open_by(&mut server).await;
        server.close().await.ok();
    }

    async fn close_by(&self, server: &mut PgConnection) {
        let name = &self.name;
        for sql in [
            format!("alter database {name} with allow_connections false"),
            format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            ),
        ] {
            server.execute(sql.as_str()).await.expect("a database can be closed");
        }
    }

    async fn open_by(&self, server: &mut PgConnection) {
        let sql = format!("alter database {} with allow_connections true", self.name);
        server.execute(sql.as_str()).await.expect("a database can be opened");
    }

    /// A small pool of its own.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn pool(&self) -> PgPool {
        PgPool::connect(self.url.as_str()).await.expect("PostgreSQL answers")
    }
}

/// The name of the template, which exists afterwards. It contains a hash of the migrations, so a
/// developer's long-running servers never serve an old one.
async fn template(server: &mut PgConnection, admin: &Url) -> String {
    const LOCK: i64 = 0x5374_7564_7968_616c;
    let name = format!("template_{:016x}", hash_of_migrations());
    if exists(server, &name).await {
        return name;
    }
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *server).await.unwrap();
    if !exists(server, &name).await {
        let raw = format!("{name}_raw");
        server
            .execute(format!("drop database if exists {raw} with (force)").as_str())
            .await
            .unwrap();
        server.execute(format!("create database {raw}").as_str()).await.unwrap();
        let pool = PgPool::connect(with_name(admin, &raw).as_str()).await.unwrap();
        migrations::migrate(&pool).await.expect("the migrations apply");
        pool.close().await;
        // A session of the pool may still be ending when the pool is closed.
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&raw)
            .execute(&mut *server)
            .await
            .unwrap();
        server
            .execute(format!("alter database {raw} rename to {name}").as_str())
            .await
            .expect("nobody else uses the new template");
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(&mut *server).await.unwrap();
    name
}

async fn exists(server: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(server)
        .await
        .unwrap()
}

fn with_name(admin: &Url, name: &str) -> Url {
    let mut url = admin.clone();
    url.set_path(name);
    url
}

/// FNV-1a over every file, in the order of their names.
fn hash_of_migrations() -> u64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|file| fs::read(file).unwrap())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
