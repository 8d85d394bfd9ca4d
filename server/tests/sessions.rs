//! The real binary: who comes in, who comes back, who watches, who has to go.

mod common;

use common::PATIENCE;
use common::client::{Client, watching};
use common::folder::Folder;
use common::server::{Server, Signal, tessera};
use tessera_protocol::{
    ClientId, CloseReason, EntityId, JoinRequest, ReconnectSecret, SignedToken, ValueRef, Watch,
};

const TAG: [&str; 4] = ["--mode", "minimal", "--zones", "1"];

/// A server with these lines below `[net]` of its configuration.
fn server(folder: &Folder, net: &str, more: &[&str]) -> Server {
    let file = folder.write("server.toml", &format!("[net]\n{net}\n"));
    Server::start(&[&TAG[..], &["--config", &file], more].concat())
}

fn with_token(name: &str, token: &SignedToken) -> JoinRequest {
    JoinRequest {
        token: Some(token.clone()),
        ..JoinRequest::from(name)
    }
}

fn again(secret: ReconnectSecret) -> JoinRequest {
    JoinRequest {
        reconnect: Some(secret),
        ..JoinRequest::from("Ada")
    }
}

/// What brings a client back.
fn secret(client: &Client) -> ReconnectSecret {
    let welcome = client.session.welcome().expect("it plays");
    welcome.reconnect.expect("there is a time of grace")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_lets_in_its_player_once() {
    let folder = Folder::new("tokens");
    let key = folder.path("match.key");
    assert!(tessera(&["token", "--new-key", &key]).success);
    let mint = |match_id: &str, name: &str| -> SignedToken {
        let done = tessera(&[
            "token",
            "--key-file",
            &key,
            "--match",
            match_id,
            "--name",
            name,
        ]);
        assert!(done.success, "{}", done.stderr);
        done.stdout.parse().expect("a token")
    };
    let net = format!("tokens = \"required\"\ntoken_key_file = \"{key}\"\nmatch_id = \"eu-1\"");
    let server = server(&folder, &net, &[]);
    let at = server.listen;

    let close = Client::refused(at, "Ada").await;
    assert_eq!(close.reason, CloseReason::TokenMissing);

    let token = mint("eu-1", "Ada");
    let mut ada = Client::join(at, with_token("whoever", &token)).await;
    let close = Client::refused(at, with_token("Ada", &token)).await;
    assert_eq!(close.reason, CloseReason::TokenUsed, "{}", close.text);

    let other = mint("us-2", "Bob");
    let close = Client::refused(at, with_token("Bob", &other)).await;
    assert_eq!(close.reason, CloseReason::TokenForAnotherMatch);
    assert!(close.text.contains("`us-2`"), "{}", close.text);

    let mut forged = mint("eu-1", "Bob").as_bytes().to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = SignedToken::from_bytes(forged);
    let close = Client::refused(at, with_token("Bob", &forged)).await;
    assert_eq!(close.reason, CloseReason::TokenBad);

    // Who has a token and lost the connection needs no other one.
    let secret = secret(&ada);
    let back = Client::join(at, again(secret)).await;
    assert_eq!(back.session.own_entity(), ada.session.own_entity());
    assert_eq!(ada.until_closed().await.reason, CloseReason::TakenOver);

    let (_, kicked) = server.ask_with("POST", "/kick", r#"{"name": "Ada"}"#);
    assert!(kicked.contains("Ada"), "the token's name counts: {kicked}");
    for (counter, count) in [
        ("refused_token_missing", 1),
        ("refused_token_used", 1),
        ("refused_token_for_another_match", 1),
        ("refused_token_bad", 1),
        ("hellos_refused", 4),
    ] {
        assert_eq!(server.counter(counter), count, "{counter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_has_expired_is_refused() {
    let folder = Folder::new("expired");
    let key = folder.path("match.key");
    assert!(tessera(&["token", "--new-key", &key]).success);
    let text = std::fs::read_to_string(&key).expect("the key");
    let token = tessera_protocol::Token::new("eu-1", "Ada", 1_000_000_000, [1; 16]);
    let token = token
        .expect("good content")
        .sign(&text.parse().expect("a key"));
    let net = format!("tokens = \"required\"\ntoken_key_file = \"{key}\"\nmatch_id = \"eu-1\"");
    let server = server(&folder, &net, &[]);
    let close = Client::refused(server.listen, with_token("Ada", &token)).await;
    assert_eq!(close.reason, CloseReason::TokenExpired, "{}", close.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_comes_back_while_the_old_connection_stands_takes_over() {
    let server = Server::start(&[&TAG[..], &["--players", "1"]].concat());
    let mut old = Client::join(server.listen, "Ada").await;
    let player = old.session.own_entity();
    let secret = secret(&old);

    let mut new = Client::join(server.listen, again(secret)).await;
    let welcome = new.session.welcome().expect("it plays").clone();
    assert!(welcome.resumed);
    assert_eq!(new.session.own_entity(), player, "the same player");
    assert_eq!(old.until_closed().await.reason, CloseReason::TakenOver);

    // It is this connection that steers the player now.
    let start = new.position().expect("a place");
    new.wish.move_x = 1.0;
    let moved = |client: &Client| {
        let now = client.position().unwrap_or(start);
        (now[0] - start[0]).abs() > 0.5
    };
    new.until("half a metre's walk", moved).await;
    assert_eq!(server.counter("clients_taken_over"), 1);
    assert_eq!(server.counter("clients_returned"), 1);
    assert_eq!(server.counter("clients_left"), 0);
    assert_eq!(server.report()["run"]["players"], 1);

    let close = Client::refused(server.listen, again(ReconnectSecret([7; 16]))).await;
    assert_eq!(close.reason, CloseReason::SessionUnknown);
}

/// A client whose machine has gone: no packet of it arrives any more, not even a close.
fn vanish(server: std::net::SocketAddr, name: &'static str) -> (EntityId, ReconnectSecret) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let client = runtime.block_on(Client::join(server, name));
    let (player, secret) = (client.session.own_entity(), secret(&client));
    // Without its runtime the connection can send nothing.
    runtime.shutdown_timeout(PATIENCE);
    drop(client);
    (player, secret)
}

/// Whether the game of tag has somebody for it: it is the first runner that is in the match, and
/// everybody sees who.
fn is_it(client: &Client, runner: EntityId) -> bool {
    let (Some(world), Some(welcome)) = (client.session.world(), client.session.welcome()) else {
        return false;
    };
    let kinds = &welcome.declarations.table.kinds;
    let tag = kinds
        .iter()
        .position(|kind| kind.is_match)
        .expect("the game");
    let field = kinds[tag]
        .fields
        .iter()
        .position(|field| field.name == "it");
    let field = field.expect("a field");
    let mut games = world
        .entities()
        .filter(|entity| entity.kind().index() == tag);
    games.any(|game| game.field(field) == Some(ValueRef::Entity(runner.0)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lost_client_gets_its_player_back_within_the_grace() {
    let folder = Folder::new("grace");
    let server = server(&folder, "idle_timeout_s = 2\nreconnect_grace_s = 60", &[]);
    let at = server.listen;
    let vanished = tokio::task::spawn_blocking(move || vanish(at, "Ada"));
    let (player, secret) = vanished.await.expect("it joins");
    let mut witness = Client::join(at, "witness").await;
    witness
        .beside(server.counter_reaches("clients_away", 1))
        .await;
    witness.until_obeyed().await;
    assert!(is_it(&witness, player), "it is still in the match");

    let back = Client::join(at, again(secret)).await;
    assert!(back.session.welcome().expect("it plays").resumed);
    assert_eq!(back.session.own_entity(), player);
    assert_eq!(server.counter("clients_returned"), 1);
    assert_eq!(server.counter("clients_dropped"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lost_client_leaves_when_its_grace_is_over() {
    let folder = Folder::new("no-grace");
    let server = server(&folder, "idle_timeout_s = 2\nreconnect_grace_s = 1", &[]);
    let at = server.listen;
    let vanished = tokio::task::spawn_blocking(move || vanish(at, "Ada"));
    let (player, secret) = vanished.await.expect("it joins");
    let mut witness = Client::join(at, "witness").await;
    let it = |client: &Client| is_it(client, player);
    witness.until("the one who was first to be it", it).await;
    witness
        .beside(server.counter_reaches("clients_dropped", 1))
        .await;
    let left = |client: &Client| is_it(client, client.session.own_entity());
    witness.until("the next one to be it", left).await;
    assert_eq!(server.counter("clients_away"), 1);
    let close = Client::refused(at, again(secret)).await;
    assert_eq!(close.reason, CloseReason::SessionUnknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_falls_silent_is_told_so_and_may_come_back() {
    let folder = Folder::new("idle");
    let server = server(&folder, "idle_timeout_s = 2", &[]);
    let mut ada = Client::join(server.listen, "Ada").await;
    let (player, secret) = (ada.session.own_entity(), secret(&ada));
    // Its connection stands and acknowledges, only nobody commands.
    server.counter_reaches("clients_away", 1).await;
    assert_eq!(ada.until_closed().await.reason, CloseReason::Idle);
    let back = Client::join(server.listen, again(secret)).await;
    assert_eq!(back.session.own_entity(), player);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_leaves_in_order_leaves_at_once() {
    let server = Server::start(&TAG);
    let client = Client::join(server.listen, "Ada").await;
    let secret = secret(&client);
    client
        .connection
        .close(CloseReason::Left.code().into(), b"bye");
    server.wait_for_counter("clients_left", 1);
    let close = Client::refused(server.listen, again(secret)).await;
    assert_eq!(close.reason, CloseReason::SessionUnknown);
    assert_eq!(server.counter("clients_away"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_kicked_reads_why_and_stays_out() {
    let server = Server::start(&TAG);
    let mut ada = Client::join(server.listen, "Ada").await;
    let mut bob = Client::join(server.listen, "Bob").await;
    let secret = secret(&ada);
    let slot = bob.session.welcome().expect("it plays").client.0;

    let json = r#"{"name": "Ada", "text": "no cheating"}"#;
    let (status, kicked) = server.ask_with("POST", "/kick", json);
    assert_eq!(
        (status, kicked.as_str()),
        (200, r#"[{"client":0,"name":"Ada","barred":true}]"#)
    );
    let close = ada.until_closed().await;
    assert_eq!(
        (close.reason, close.text.as_str()),
        (CloseReason::Kicked, "no cheating")
    );
    let close = Client::refused(server.listen, again(secret)).await;
    assert_eq!(close.reason, CloseReason::SessionUnknown);
    let close = Client::refused(server.listen, "Ada").await;
    assert_eq!(close.reason, CloseReason::Kicked);

    bob.until_obeyed().await;
    let (status, _) = server.ask_with("POST", "/kick", &format!(r#"{{"client": {slot}}}"#));
    assert_eq!(status, 200);
    assert_eq!(bob.until_closed().await.reason, CloseReason::Kicked);
    for (json, expected, says) in [
        (
            r#"{"name": "Eve"}"#,
            404,
            "nobody called \"Eve\" is in the match",
        ),
        (r#"{"client": 499}"#, 404, "no client 499 is in the match"),
        ("{}", 422, "say whom"),
        (r#"{"nmae": "Bob"}"#, 422, "nmae"),
    ] {
        let (status, said) = server.ask_with("POST", "/kick", json);
        assert_eq!(status, expected, "{json}");
        assert!(said.contains(says), "{json}: {said}");
    }
    assert_eq!(server.counter("clients_kicked"), 2);
    // Their places are free again.
    Client::join(server.listen, "Cid").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_spectator_sees_the_match_late_and_owns_nothing() {
    let folder = Folder::new("spectators");
    let net = "spectators = 1\nspectator_delay_s = 1";
    let server = server(&folder, net, &["--players", "1"]);
    let mut ada = Client::join(server.listen, "Ada").await;
    let player = ada.session.own_entity();

    let mut watcher = Client::connect(server.listen, watching(Watch::Anyone)).await;
    let sees = |client: &Client| client.session.seen_through() == player;
    ada.beside(watcher.until("Ada's surroundings", sees)).await;
    let welcome = watcher.session.welcome().expect("it watches").clone();
    assert!(welcome.spectator && welcome.reconnect.is_none());
    assert_eq!(watcher.session.own_entity(), EntityId::NONE);
    let world = watcher.session.world().expect("it watches");
    assert!(world.get(player).is_some());

    // Late: what it sees now is a second behind what Ada sees.
    ada.until_obeyed().await;
    let seen = watcher.newest.expect("it sees").tick;
    let behind = ada.newest.expect("she plays").tick.wrapping_sub(seen);
    assert!(behind >= 64, "{behind} ticks");

    // It is no player: it takes no player's place, and what it commands goes nowhere.
    assert_eq!(server.report()["run"]["players"], 1);
    assert_eq!(server.counter("spectators_joined"), 1);
    let close = Client::refused(server.listen, watching(Watch::Client(ClientId(0)))).await;
    assert_eq!(close.reason, CloseReason::ServerFull);
    assert!(close.text.contains("to watch"), "{}", close.text);
    let close = Client::refused(server.listen, "Bob").await;
    assert_eq!(close.reason, CloseReason::ServerFull);

    // It can be kicked like anyone.
    let (_, kicked) = server.ask_with("POST", "/kick", r#"{"name": "watcher"}"#);
    assert_eq!(
        kicked,
        r#"[{"client":null,"name":"watcher","barred":true}]"#
    );
    assert_eq!(watcher.until_closed().await.reason, CloseReason::Kicked);
    let close = Client::refused(server.listen, watching(Watch::Anyone)).await;
    assert_eq!(close.reason, CloseReason::Kicked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_the_server_drains_nobody_new_comes_in_and_who_plays_goes_on() {
    let server = Server::start(&TAG);
    let mut ada = Client::join(server.listen, "Ada").await;
    assert_eq!(server.ask("POST", "/drain").0, 204);
    let close = Client::refused(server.listen, "Bob").await;
    assert_eq!(close.reason, CloseReason::Draining);
    assert!(close.text.contains("stopping"), "{}", close.text);
    let (status, ready) = server.ask("GET", "/ready");
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains("draining"), "{ready}");
    ada.until_obeyed().await;
    let secret = secret(&ada);
    let mut back = Client::join(server.listen, again(secret)).await;
    assert_eq!(server.counter("refused_draining"), 1);
    server.signal(Signal::TERM);
    assert_eq!(back.until_closed().await.reason, CloseReason::Draining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_ends_its_own_session_only() {
    let server = Server::start(&TAG);
    let mut honest = Client::join(server.listen, "honest").await;
    let mut hostile = Client::join(server.listen, "hostile").await;
    let flood = async {
        while hostile.closed.is_none() {
            for _ in 0..64 {
                let garbage = bytes::Bytes::from_static(b"flood");
                let _ = hostile.connection.send_datagram(garbage);
            }
            hostile.step().await;
        }
    };
    honest.beside(flood).await;
    let close = hostile.closed.clone().expect("just waited for it");
    assert_eq!(close.reason, CloseReason::RateLimited);
    honest.until_obeyed().await;
    server.wait_for_counter("clients_flooded", 1);
    assert!(server.counter("datagrams_excess") > 0);
    assert_eq!(server.report()["run"]["players"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_address_validation_clients_come_in_by_one_more_round_trip() {
    let folder = Folder::new("retry");
    let server = server(&folder, "address_validation = \"always\"", &[]);
    Client::join(server.listen, "Ada").await;
    assert_eq!(server.counter("connections_retried"), 1);
    assert_eq!(server.counter("connections"), 1);
}
