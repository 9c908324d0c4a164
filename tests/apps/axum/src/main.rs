//! axum with axum-login, tower-sessions and its PostgreSQL store, as their documentation sets them up; where REDIS_URL says so,
//! with Redis in front of the table.

use axum::{
    Form, Router,
    http::StatusCode,
    routing::{get, post},
};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, UserId};
use serde::Deserialize;
use sqlx::{FromRow, PgPool, postgres::PgConnectOptions};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore, cookie::time::Duration};
use tower_sessions_sqlx_store::PostgresStore;

type AuthSession = axum_login::AuthSession<Users>;
type Answer = Result<String, StatusCode>;

#[derive(Clone, Debug, FromRow)]
struct User {
    id: i64,
    name: String,
    password_hash: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// Not the password's: with that, axum-login refuses the older sessions itself, and nobody could tell who did.
    fn session_auth_hash(&self) -> &[u8] {
        b"the same for ever"
    }
}

#[derive(Clone, Debug)]
struct Users(PgPool);

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Word {
    word: String,
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = sqlx::Error;

    async fn authenticate(&self, given: Credentials) -> sqlx::Result<Option<User>> {
        let user: Option<User> = sqlx::query_as("select * from members where name = $1")
            .bind(given.username)
            .fetch_optional(&self.0)
            .await?;
        Ok(user.filter(|user| {
            password_auth::verify_password(given.password, &user.password_hash).is_ok()
        }))
    }

    async fn get_user(&self, id: &UserId<Self>) -> sqlx::Result<Option<User>> {
        sqlx::query_as("select * from members where id = $1")
            .bind(id)
            .fetch_optional(&self.0)
            .await
    }
}

fn broken<E: std::fmt::Display>(error: E) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn sign_up(auth: AuthSession, Form(new): Form<Credentials>) -> Answer {
    sqlx::query("insert into members (name, password_hash) values ($1, $2)")
        .bind(new.username)
        .bind(password_auth::generate_hash(new.password))
        .execute(&auth.backend.0)
        .await
        .map_err(broken)?;
    Ok("welcome".to_owned())
}

async fn log_in(mut auth: AuthSession, Form(given): Form<Credentials>) -> Answer {
    let user = auth.authenticate(given).await.map_err(broken)?;
    let user = user.ok_or(StatusCode::UNAUTHORIZED)?;
    auth.login(&user).await.map_err(broken)?;
    Ok(user.name)
}

async fn account(auth: AuthSession) -> Answer {
    auth.user
        .map(|user| user.name)
        .ok_or(StatusCode::UNAUTHORIZED)
}

async fn word(session: Session) -> Answer {
    let word = session.get("word").await.map_err(broken)?;
    Ok(word.unwrap_or_default())
}

async fn note_word(session: Session, Form(noted): Form<Word>) -> Answer {
    session.insert("word", noted.word).await.map_err(broken)?;
    Ok("noted".to_owned())
}

/// A request that is in flight until the gate opens, and writes to its session then.
async fn note_word_slowly(auth: AuthSession, session: Session, noted: Form<Word>) -> Answer {
    // Extracting it has read the session.
    auth.user.ok_or(StatusCode::UNAUTHORIZED)?;
    println!("holding");
    let gate = std::env::var("GATE").map_err(broken)?;
    while !std::path::Path::new(&gate).exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    note_word(session, noted).await
}

async fn serve(
    pool: PgPool,
    store: impl SessionStore + Clone,
) -> Result<(), Box<dyn std::error::Error>> {
    let sessions = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    let app = Router::new()
        .route("/sign-up", post(sign_up))
        .route("/login", post(log_in))
        .route("/account", get(account))
        .route("/word", get(word).post(note_word))
        .route("/slow-word", post(note_word_slowly))
        .layer(AuthManagerLayerBuilder::new(Users(pool), sessions).build());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?.port());
    Ok(axum::serve(listener, app).await?)
}

#[cfg(feature = "redis")]
async fn in_front(
    url: &str,
    store: PostgresStore,
) -> Result<impl SessionStore + Clone, fred::error::Error> {
    use fred::prelude::{ClientLike, Config, Pool, ServerConfig};

    let server = ServerConfig::new_unix_socket(url.trim_start_matches("unix://"));
    let config = Config {
        server,
        ..Config::default()
    };
    let redis = Pool::new(config, None, None, None, 2)?;
    redis.init().await?;
    let cache = tower_sessions_redis_store::RedisStore::new(redis);
    Ok(tower_sessions::CachingSessionStore::new(cache, store))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // libpq's variables say where.
    let pool = PgPool::connect_with(PgConnectOptions::new()).await?;
    sqlx::query(
        "create table if not exists members \
         (id bigint generated always as identity primary key, name text unique, password_hash text not null)",
    )
    .execute(&pool)
    .await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    match std::env::var("REDIS_URL") {
        #[cfg(feature = "redis")]
        Ok(url) => serve(pool, in_front(&url, store).await?).await,
        #[cfg(not(feature = "redis"))]
        Ok(_) => Err("built without the feature redis".into()),
        Err(_) => serve(pool, store).await,
    }
}
