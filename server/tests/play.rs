//! The real binary, and clients that play on it.

mod common;

use common::client::Client;
use common::server::{Server, Signal};
use serde_json::Value;
use tessera_protocol::{CloseReason, EntityId};

/// A small mode that moves its players, in zones whose border they can cross.
const TAG: [&str; 4] = ["--mode", "minimal", "--zones", "4"];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bots_play_a_royale() {
    let server = Server::start(&["--mode", "royale", "--option", "fill_bots=6"]);
    let mut clients = Vec::new();
    for bot in 0..3 {
        clients.push(Client::join(server.listen, &format!("bot {bot}")).await);
    }
    for client in &mut clients {
        let start = client.position().expect("a place");
        client.wish.move_z = -1.0;
        let moved = |client: &Client| {
            let now = client.position().unwrap_or(start);
            (now[0] - start[0]).hypot(now[2] - start[2]) > 1.0
        };
        client.until("a metre's walk", moved).await;
        client.until_obeyed().await;
        let world = client.session.world().expect("it plays");
        assert!(
            world.entities().count() > 3,
            "players, bots and loot are in sight"
        );
    }
    let numbers: std::collections::BTreeSet<_> = clients
        .iter()
        .map(|client| client.session.welcome().expect("it plays").client)
        .collect();
    assert_eq!(numbers.len(), 3, "each client has a slot of its own");

    let report = server.report();
    assert_eq!(report["run"]["players"], 3);
    assert_eq!(report["run"]["mode"], "royale");
    assert_eq!(report["counters"]["datagrams_bad"], 0);
    assert_eq!(report["counters"]["hook_errors"], 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_leaves_frees_the_place_but_leaves_nobody_a_player() {
    let server = Server::start(&[&TAG[..], &["--players", "1"]].concat());
    let first = Client::join(server.listen, "first").await;
    let slot = first.session.welcome().expect("it plays").client;
    let player = first.session.own_entity();

    let mut second = Client::connect(server.listen, "second").await;
    let close = second.until_closed().await;
    assert_eq!(close.reason, CloseReason::ServerFull);
    assert!(close.text.contains("all 1 places"), "{}", close.text);

    first
        .connection
        .close(CloseReason::Left.code().into(), b"bye");
    server.wait_for_counter("clients_left", 1);
    let mut third = Client::connect(server.listen, "third").await;
    while third.session.welcome().is_none() {
        // The place is free once a tick has heard of the leaving: try until then.
        third.until_answered().await;
        if third.closed.is_some() {
            third = Client::connect(server.listen, "third").await;
        }
    }
    third
        .until("a player", |client| !client.session.own_entity().is_none())
        .await;
    assert_eq!(third.session.welcome().expect("it plays").client, slot);
    assert_ne!(
        third.session.own_entity(),
        player,
        "nobody inherits a player"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn garbage_is_counted_while_the_match_goes_on() {
    let server = Server::start(&TAG);
    let mut honest = Client::join(server.listen, "honest").await;
    let mut hostile = Client::join(server.listen, "hostile").await;

    for _ in 0..50 {
        hostile.send_garbage(b"\xff\xff\xff\xffnot a flatbuffer");
        hostile.send_garbage(b"");
    }
    server.wait_for_counter("datagrams_bad", 20);

    hostile.claim = Some(honest.session.own_entity());
    hostile.until_obeyed().await;
    hostile.claim = Some(EntityId(u32::MAX));
    hostile.until_obeyed().await;
    server.wait_for_counter("commands_foreign", 2);
    // Each datagram repeats the commands before, so honest clients make these too.
    server.wait_for_counter("commands_duplicate", 2);
    let (_, page) = server.ask("GET", "/metrics");
    assert!(
        page.contains("# HELP tessera_commands_duplicate "),
        "{page}"
    );
    assert!(
        !page.contains("tessera_commands_duplicate_total 0\n"),
        "{page}"
    );

    hostile.claim = None;
    hostile.wish.yaw = f32::NAN;
    hostile.wish.move_x = f32::INFINITY;
    hostile.until_obeyed().await;
    server.wait_for_counter("commands_not_finite", 1);

    let start = honest.position().expect("a place");
    honest.wish.move_x = 1.0;
    let moved = |client: &Client| {
        client
            .position()
            .is_some_and(|now| (now[0] - start[0]).abs() > 0.5)
    };
    honest.until("half a metre's walk", moved).await;
    let report = server.report();
    assert_eq!(
        report["run"]["players"], 2,
        "even the hostile one is still in"
    );
    assert_eq!(
        report["counters"]["hook_errors"], 0,
        "scripts saw none of it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn garbage_on_the_stream_ends_that_session_only() {
    let server = Server::start(&TAG);
    let mut honest = Client::join(server.listen, "honest").await;
    let garbage = |_| b"GET / HTTP/1.1\r\n\r\n".repeat(100);
    let mut hostile = Client::connect_with(server.listen, "x", garbage).await;
    assert_eq!(hostile.until_closed().await.reason, CloseReason::Garbage);
    server.wait_for_counter("messages_bad", 1);
    honest.until_obeyed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_protocol_is_refused_with_the_reason() {
    let server = Server::start(&TAG);
    let ours = tessera_protocol::protocol_hash().to_le_bytes();
    let other = |mut hello: Vec<u8>| {
        let at = hello
            .windows(8)
            .position(|window| window == ours)
            .expect("the hash is in it");
        hello[at] ^= 1;
        hello
    };
    let mut client = Client::connect_with(server.listen, "old", other).await;
    let close = client.until_closed().await;
    assert_eq!(close.reason, CloseReason::ProtocolMismatch);
    assert!(close.text.contains("same build"), "{}", close.text);
    server.wait_for_counter("hellos_refused", 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stopping_server_tells_its_clients_and_says_how_it_went() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&TAG);
        let mut clients = [
            Client::join(server.listen, "one").await,
            Client::join(server.listen, "two").await,
        ];
        server.signal(signal);
        for client in &mut clients {
            let close = client.until_closed().await;
            assert_eq!(close.reason, CloseReason::Draining);
            assert!(close.text.contains("stopping"), "{}", close.text);
        }
        let (status, said) = server.wait();
        assert!(status.success(), "{status}: {said}");
        assert!(said.contains("stopped; since"), "{said}");
        assert!(said.contains("clients_joined 2"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_ops_endpoint_tells_health_and_the_report() {
    let server = Server::start(&TAG);
    let mut client = Client::join(server.listen, "one").await;
    let (status, health) = server.ask("GET", "/health");
    assert_eq!(status, 200, "{health}");
    assert!(health.contains(r#""status":"ok""#), "{health}");
    assert_eq!(server.ask("POST", "/report/reset").0, 204);
    let (status, nothing) = server.ask("GET", "/nothing?x");
    assert_eq!(status, 404);
    assert_eq!(
        nothing,
        "there is nothing at /nothing; / lists what there is\n"
    );
    let (status, index) = server.ask("GET", "/");
    assert_eq!(status, 200);
    for line in index.lines() {
        let path = line.split_whitespace().nth(1).expect("method and path");
        let (status, wrong_method) = server.ask("PUT", path);
        assert_eq!(status, 405, "{line}");
        assert!(wrong_method.contains("takes no PUT"), "{wrong_method}");
    }
    // Nor may a page in the browser of somebody who can reach it.
    let page = "Origin: http://example.com";
    assert_eq!(server.ask_as("POST", "/drain", page, "").0, 403);
    assert_eq!(server.ask("GET", "/ready").0, 200, "nothing is drained");

    client.until_obeyed().await;
    let report = server.report();
    assert_eq!(
        keys(&report["run"]),
        "commit cores cpu duration_s map mode players python seed tick_hz zones"
    );
    assert_eq!(
        keys(&report["tick"]),
        "duration_us missed run stages_us start_jitter_us"
    );
    assert_eq!(
        keys(&report["tick"]["duration_us"]),
        "max mean p50 p90 p99 p999"
    );
    assert_eq!(
        keys(&report["tick"]["stages_us"]),
        "barrier commands network snapshot zones"
    );
    assert_eq!(keys(&report["server"]), "cpu_s rss_mib_max");
    let zones = report["zones"].as_array().expect("zones");
    assert_eq!(zones.len(), 4);
    assert_eq!(
        keys(&zones[0]),
        "channels entities_max exchange_us gather_us gc_us handoffs_in handoffs_out memory_bytes memory_peak_bytes restarts script_us zone"
    );
    assert_eq!(
        keys(&zones[0]["channels"][0]),
        "bytes depth_max messages refused to"
    );

    let run = report["tick"]["run"].as_u64().expect("a number");
    assert!((1..100_000).contains(&run), "{run}");
    assert!(
        report["tick"]["duration_us"]["p50"]
            .as_f64()
            .expect("a number")
            > 0.0
    );
    assert!(
        report["tick"]["stages_us"]["network"]["max"]
            .as_f64()
            .expect("a number")
            > 0.0
    );
    assert!(report["server"]["rss_mib_max"].as_f64().expect("a number") > 1.0);
    let single = report["ticks"]["duration_us"]
        .as_array()
        .expect("single ticks");
    assert_eq!(single.len() as u64, run);
    assert!(report["clock"]["tick"].as_u64().expect("a number") >= run);
}

/// The keys of an object, in alphabetical order.
fn keys(value: &Value) -> String {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(" ")
}
