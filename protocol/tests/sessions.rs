//! Both ends of a session against each other, in memory and virtual time.

mod common;

use std::time::Duration;

use common::link::{CALM, Item, PATIENCE, SECRET, Session, Weather, bad_weather};
use common::world::{MOSS, ROCK, mossy, table};
use proptest::prelude::*;
use tessera_protocol::session::{DATAGRAM_LIMIT, IDLE_TIMEOUT};
use tessera_protocol::{
    ClientEvent, ClientId, ClientSession, CloseReason, Declarations, EntityId, EventError,
    JoinRequest, ReconnectSecret, ServerCounters, ServerEvent, ServerSession, SharedEvent,
    SignedToken, Tick, Value, ValueRef, Watch, protocol_hash,
};

const SECOND: Duration = Duration::from_secs(1);

/// Whether each consumed command is the one made for its tick, and no tick consumed two.
fn assert_in_order(session: &Session) {
    for pair in session.consumed.windows(2) {
        assert!(pair[1].0.is_newer_than(pair[0].0));
    }
    for (tick, command) in &session.consumed {
        assert_eq!(command.tick, *tick);
        assert_eq!(command.yaw, (tick.0 % 6) as f32 - 3.0);
    }
}

/// Of the ticks in a while, how many found no command.
fn starved_in(session: &mut Session, time: Duration) -> (u64, u64) {
    let (before, tick) = (session.server.counters().starved, session.world.tick);
    session.run(time);
    let ticks = session.world.tick.wrapping_sub(tick).unsigned_abs().into();
    (session.server.counters().starved - before, ticks)
}

fn event(n: i64) -> SharedEvent {
    let args = [Value::Int(n), Value::Str("killed".to_owned()), Value::None];
    SharedEvent::new(Tick(n as u32), "feed", &args).expect("short enough")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn in_bad_weather_commands_arrive_once_and_in_order(
        seed in any::<u64>(), weather in bad_weather(),
        tick_hz in prop::sample::select(vec![32, 64, 128]),
    ) {
        let mut session = Session::new(weather, tick_hz, seed);
        session.run(3 * SECOND);
        prop_assert!(matches!(session.events[..], [ClientEvent::Welcome(_)]));
        for n in 0..20 {
            session.server.send_event(&event(n));
            session.run(SECOND / 50);
        }
        let (starved, ticks) = starved_in(&mut session, 3 * SECOND);
        prop_assert!(starved * 20 <= ticks, "{} of {} ticks starved", starved, ticks);
        assert_in_order(&session);
        // The stream neither loses nor swaps events.
        let told: Vec<_> = session.events.iter().filter_map(|event| match event {
            ClientEvent::Event(event) => Some(event.args[0].clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(told, (0..20).map(Value::Int).collect::<Vec<_>>());
        prop_assert_eq!(session.server.counters().bad_datagrams, 0);
        prop_assert_eq!(session.client.counters().bad_datagrams, 0);
        let world = session.client.world().expect("it plays");
        prop_assert_eq!(world.entities().count(), 2);
        prop_assert_eq!(world.own().map(|own| own.id()), Some(session.own));
    }

    #[test]
    fn in_bad_weather_new_declarations_reach_the_client_and_state_goes_on_by_them(
        seed in any::<u64>(), weather in bad_weather(),
        changes in 1..40_u32,
    ) {
        let mut session = Session::new(weather, 64, seed);
        session.run(SECOND);
        let rock = EntityId(2);
        for change in 1..=changes {
            let table = if change % 2 == 1 { mossy() } else { table() };
            session.world.declarations = Declarations {
                edition: session.world.declarations.edition.next(),
                table: table.clone(),
            };
            // Some follow each other so fast that no state of one arrives.
            session.run(SECOND / if change % 3 == 0 { 100 } else { 2 });
        }
        session.run(SECOND);
        let counters = session.client.counters();
        prop_assert_eq!(counters.bad_datagrams, 0);
        let world = session.client.world().expect("it plays");
        prop_assert_eq!(world.field_table(), &session.world.declarations.table);
        prop_assert_eq!(world.own().map(|own| own.id()), Some(session.own));
        let moss = world.field_table().kinds[ROCK].field("moss");
        let shown = world.get(rock).and_then(|rock| rock.field(moss?));
        prop_assert_eq!(shown, (changes % 2 == 1).then_some(ValueRef::U8(MOSS)));
        // The client has heard of the last one too.
        let mut told = session.events.iter().filter_map(|event| match event {
            ClientEvent::Declared(table) => Some(table.kinds[ROCK].field("moss").is_some()),
            _ => None,
        });
        prop_assert_eq!(told.next_back(), Some(changes % 2 == 1));
    }

    #[test]
    fn garbage_never_panics_and_is_counted(
        bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..300_usize,
    ) {
        let mut server = ServerSession::new(Duration::ZERO);
        server.handle_datagram(Duration::ZERO, &bytes);
        server.handle_stream(Duration::ZERO, &bytes[..cut.min(bytes.len())]);
        server.handle_stream(Duration::ZERO, &bytes[cut.min(bytes.len())..]);
        prop_assert!(server.poll_hello().is_none());
        prop_assert_eq!(server.counters().stray_datagrams, 1);
        let mut client = ClientSession::new(Duration::ZERO, "Ada");
        client.handle_datagram(SECOND, &bytes);
        client.handle_stream(SECOND, &bytes);
        prop_assert!(client.welcome().is_none());

        let mut session = Session::new(CALM, 64, 1);
        session.run(SECOND / 4);
        session.server.handle_datagram(session.now, &bytes);
        session.client.handle_datagram(session.now, &bytes);
        session.client.handle_stream(session.now, &bytes);
        prop_assert_eq!(session.server.counters().bad_datagrams, 1);
    }

    #[test]
    fn a_datagram_of_flipped_bits_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut session = Session::new(CALM, 64, 1);
        session.run(SECOND / 4);
        let now = session.now + SECOND;
        let tick = session.client.poll_command_tick(now).expect("one is due");
        session.client.send_command(tessera_protocol::Command { tick, ..Default::default() });
        let mut datagram = session.client.poll_datagram().expect("there is one");
        for (at, byte) in flips {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        session.server.handle_datagram(session.now, &datagram);
        session.run(SECOND / 4);
    }
}

/// 100 ms there and back, each way 20 ms more or less, and a datagram in twenty lost.
const BAD_NETWORK: Weather = Weather {
    latency: Duration::from_millis(30),
    jitter: Duration::from_millis(40),
    loss: 0.05,
    twice: 0.0,
};

#[test]
fn who_has_no_player_is_heard_all_the_same() {
    let mut session = Session::new(CALM, 64, 1);
    session.silent = true;
    session.run(IDLE_TIMEOUT + 2 * SECOND);
    assert_eq!(session.closed(), None);
    assert_eq!(session.consumed, []);
    let newest = session.server.state_ack().newest;
    assert!(newest.is_some(), "the server knows what state has arrived");
}

#[test]
fn on_a_bad_network_nearly_all_commands_are_applied() {
    let (mut starved, mut ticks) = (0, 0);
    for seed in 1..=12 {
        let mut session = Session::new(BAD_NETWORK, 64, seed);
        session.run(2 * SECOND);
        let (missed, of) = starved_in(&mut session, 140 * SECOND);
        println!("seed {seed}: {missed} of {of} ticks found no command");
        assert_in_order(&session);
        (starved, ticks) = (starved + missed, ticks + of);
        let slack = session.server.ack().slack.expect("commands arrived");
        assert!(slack < 14, "{slack} ticks of slack");
    }
    assert!(ticks > 100_000);
    assert!(
        starved * 10_000 <= ticks,
        "{starved} of {ticks} ticks starved"
    );
}

#[test]
fn in_calm_weather_no_tick_starves_and_commands_are_fresh() {
    for tick_hz in [32, 64, 128] {
        let mut session = Session::new(CALM, tick_hz, 1);
        // Until nothing is left of the losses that the client began with.
        session.run(1536 * SECOND / tick_hz);
        let (starved, ticks) = starved_in(&mut session, 4 * SECOND);
        assert_eq!((starved, ticks), (0, 4 * u64::from(tick_hz)));
        let slack = session.server.ack().slack.expect("commands arrived");
        assert!(
            (0..=2).contains(&slack),
            "{slack} ticks of slack at {tick_hz} Hz"
        );
        assert_in_order(&session);
        let counters = *session.server.counters();
        let redundant = ServerCounters {
            duplicate: counters.duplicate,
            consumed: counters.consumed,
            ..ServerCounters::default()
        };
        assert_eq!(counters, redundant, "nothing else is wrong");
    }
}

#[test]
fn after_a_stall_the_clocks_find_each_other_again() {
    for stall_ms in [100, 500, 2000] {
        let mut session = Session::new(CALM, 64, 1);
        session.run(2 * SECOND);
        session.stall(Duration::from_millis(stall_ms));
        session.run(6 * SECOND);
        let (starved, ticks) = starved_in(&mut session, 2 * SECOND);
        assert_eq!((starved, ticks), (0, 128), "after {stall_ms} ms");
        let slack = session.server.ack().slack.expect("commands arrived");
        assert!(
            (0..=4).contains(&slack),
            "{slack} ticks of slack after {stall_ms} ms"
        );
    }
}

#[test]
fn the_welcome_and_events_arrive_whole() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    let args = [
        Value::None,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Float(-0.1),
        Value::Str("Ünï".to_owned()),
        Value::Entity(EntityId(u32::MAX)),
    ];
    session
        .server
        .send_event(&SharedEvent::new(Tick(7), "all", &args).expect("short enough"));
    session.run(SECOND / 10);
    let [ClientEvent::Welcome(welcome), ClientEvent::Event(event)] = &session.events[..] else {
        panic!("{:?}", session.events)
    };
    assert_eq!(welcome.declarations.table, common::world::table());
    assert_eq!(
        (welcome.mode.as_str(), welcome.map.as_str()),
        ("royale", "island")
    );
    assert_eq!((welcome.tick_hz, welcome.map_hash), (64, 0xfeed_beef));
    assert_eq!(
        *event,
        ServerEvent {
            tick: Tick(7),
            name: "all".to_owned(),
            args: args.to_vec()
        }
    );
}

#[test]
fn an_event_too_long_is_refused_by_name() {
    let text = Value::Str("x".repeat(20_000));
    let Err(EventError { name, len }) = SharedEvent::new(Tick(0), "novel", &[text]) else {
        panic!("it has no room")
    };
    assert_eq!((name.as_str(), len > 20_000), ("novel", true));
}

#[test]
fn forged_commands_are_counted_and_not_consumed() {
    for (forge, counter) in [
        (
            (|command| command.entity = EntityId(2)) as fn(&mut tessera_protocol::Command),
            (|counters| counters.foreign) as fn(&ServerCounters) -> u64,
        ),
        (
            |command| command.yaw = f32::NAN,
            |counters| counters.not_finite,
        ),
        (
            |command| command.move_x = f32::INFINITY,
            |counters| counters.not_finite,
        ),
        (
            |command| command.tick = command.tick.offset(-1000),
            |counters| counters.late,
        ),
        (
            |command| command.tick = command.tick.offset(1000),
            |counters| counters.early,
        ),
    ] {
        let mut session = Session::new(CALM, 64, 1);
        session.forge = forge;
        session.run(SECOND);
        assert!(
            counter(session.server.counters()) > 20,
            "{:?}",
            session.server.counters()
        );
        assert_eq!(session.consumed, []);
        assert!(
            !session.server.is_closed(),
            "garbage is counted, not punished"
        );
    }
}

#[test]
fn refusals_are_typed_on_the_client() {
    for (admit, reason) in [
        (
            (|server, _| server.close(CloseReason::ServerFull, "100 of 100 are here"))
                as fn(&mut ServerSession, &tessera_protocol::Welcome),
            CloseReason::ServerFull,
        ),
        (
            |server, _| server.close(CloseReason::Draining, "going down"),
            CloseReason::Draining,
        ),
    ] {
        let mut session = Session::new(CALM, 64, 1);
        session.admit = admit;
        session.run(SECOND);
        let close = session.closed().expect("it hears");
        assert_eq!(close.reason, reason);
        assert!(session.client.is_closed() && session.server.is_closed());
        assert_eq!(session.client.next_timeout(), None);
    }
}

/// What a server says to a client of this name.
fn refusal(name: &str) -> Option<CloseReason> {
    let mut client = ClientSession::new(Duration::ZERO, name);
    let mut server = ServerSession::new(Duration::ZERO);
    server.handle_stream(Duration::ZERO, &client.poll_stream().expect("a hello"));
    let hello = server.poll_hello();
    let close = server.poll_close();
    assert_eq!(hello.is_some(), close.is_none());
    close.map(|close| close.reason)
}

#[test]
fn names_are_checked() {
    assert_eq!(refusal(" Ada "), None);
    assert_eq!(refusal(&"é".repeat(12)), None);
    for bad in ["", "  ", "a\nb", &"x".repeat(25), &"é".repeat(13)] {
        assert_eq!(refusal(bad), Some(CloseReason::BadName), "{bad:?}");
    }
    assert_eq!(
        refusal(&"x".repeat(5000)),
        Some(CloseReason::Garbage),
        "the hello is too long"
    );
}

#[test]
fn another_protocol_is_refused_with_both_hashes() {
    let mut hello = ClientSession::new(Duration::ZERO, "Ada")
        .poll_stream()
        .expect("a hello");
    let hash = protocol_hash().to_le_bytes();
    let at = hello
        .windows(8)
        .position(|window| window == hash)
        .expect("it is in there");
    hello[at] ^= 1;
    let mut server = ServerSession::new(Duration::ZERO);
    server.handle_stream(Duration::ZERO, &hello);
    assert!(server.poll_hello().is_none());
    let close = server.poll_close().expect("refused");
    assert_eq!(close.reason, CloseReason::ProtocolMismatch);
    for hash in [protocol_hash(), protocol_hash() ^ 1] {
        assert!(
            close.text.contains(&format!("{hash:016x}")),
            "{}",
            close.text
        );
    }
}

#[test]
fn who_says_nothing_is_closed() {
    let mut server = ServerSession::new(SECOND);
    let due = server.next_timeout().expect("it waits");
    server.handle_timeout(due - Duration::from_nanos(1));
    assert!(!server.is_closed());
    server.handle_timeout(due);
    assert_eq!(
        server.poll_close().map(|close| close.reason),
        Some(CloseReason::HandshakeTimeout)
    );

    let mut session = Session::new(CALM, 64, 1);
    session.admit = |_, _| {}; // the server takes forever
    session.run(PATIENCE);
    assert_eq!(
        session.closed().map(|close| close.reason),
        Some(CloseReason::HandshakeTimeout)
    );
    assert!(session.server.is_closed(), "the close arrives");
}

#[test]
fn more_than_a_hello_is_garbage() {
    let hello = ClientSession::new(Duration::ZERO, "Ada")
        .poll_stream()
        .expect("a hello");
    let mut server = ServerSession::new(Duration::ZERO);
    server.handle_stream(Duration::ZERO, &hello);
    server.handle_stream(Duration::ZERO, &hello);
    assert_eq!(
        server.poll_close().map(|close| close.reason),
        Some(CloseReason::Garbage)
    );
    assert_eq!(server.counters().bad_messages, 1);
}

#[test]
fn a_server_that_talks_nonsense_is_left() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    session.inject(Item::Stream(vec![4, 0, 0, 0, 1, 2, 3, 4]));
    session.run(SECOND / 10);
    assert_eq!(
        session.closed().map(|close| close.reason),
        Some(CloseReason::Garbage)
    );
    assert!(session.server.is_closed());
}

#[test]
fn leaving_ends_both_ends_once() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    session.client.close(CloseReason::Left, "bye");
    session
        .client
        .close(CloseReason::Garbage, "too late to say otherwise");
    session.run(SECOND / 10);
    assert!(session.client.is_closed() && session.server.is_closed());
    let closes = session
        .events
        .iter()
        .filter(|event| matches!(event, ClientEvent::Closed(_)));
    assert_eq!(closes.count(), 1);
    assert_eq!(
        session.closed().map(|close| close.reason),
        Some(CloseReason::Left)
    );
    assert!(
        session.server.poll_close().is_none(),
        "the connection is closed already"
    );
}

#[test]
fn who_does_not_read_is_closed() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    let text = Value::Str("x".repeat(10_000));
    let event = SharedEvent::new(Tick(0), "noise", &[text]).expect("short enough");
    for _ in 0..1000 {
        session.server.send_event(&event);
    }
    assert_eq!(
        session.server.poll_close().map(|close| close.reason),
        Some(CloseReason::TooSlow)
    );
}

#[test]
fn what_a_client_asks_for_arrives_whole() {
    for (token, reconnect, watch) in [
        (None, None, None),
        (Some(vec![]), None, Some(Watch::Anyone)),
        (
            Some((0..147).collect()),
            Some(ReconnectSecret(*b"0123456789abcdef")),
            Some(Watch::Client(ClientId(499))),
        ),
    ] {
        let request = JoinRequest {
            name: "Ada".to_owned(),
            token: token.map(|bytes: Vec<u8>| SignedToken::from_bytes(bytes)),
            reconnect,
            watch,
        };
        let mut client = ClientSession::new(Duration::ZERO, request.clone());
        let mut server = ServerSession::new(Duration::ZERO);
        server.handle_stream(Duration::ZERO, &client.poll_stream().expect("a hello"));
        let hello = server.poll_hello().expect("it is whole");
        let arrived = JoinRequest {
            name: hello.name,
            token: hello.token,
            reconnect: hello.reconnect,
            watch: hello.watch,
        };
        assert_eq!(arrived, request);
    }
}

#[test]
fn a_client_that_floods_is_closed_and_an_honest_burst_is_taken() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND);
    let before = *session.server.counters();
    for _ in 0..DATAGRAM_LIMIT.burst - 64 {
        session.server.handle_datagram(session.now, b"x");
    }
    let counters = session.server.counters();
    assert_eq!(counters.excess_datagrams, 0, "a stall's worth");
    assert!(counters.bad_datagrams > before.bad_datagrams);

    // Ten thousand a second.
    let mut sent = 0;
    while !session.server.is_closed() {
        session.server.handle_datagram(session.now, b"x");
        session.now += SECOND / 10_000;
        sent += 1;
        assert!(sent < 10_000, "not closed within a second");
    }
    assert!(
        session.server.counters().excess_datagrams > 1000,
        "not at once"
    );
    let close = session.server.poll_close().expect("it is told why");
    assert_eq!(close.reason, CloseReason::RateLimited);
}

#[test]
fn at_twice_the_honest_rate_nothing_is_dropped() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    for n in 0..20 * DATAGRAM_LIMIT.per_s {
        let now = session.now + SECOND / DATAGRAM_LIMIT.per_s * n;
        session.server.handle_datagram(now, b"x");
    }
    assert_eq!(session.server.counters().excess_datagrams, 0);
    assert!(!session.server.is_closed());
}

#[test]
fn who_falls_silent_in_the_match_is_closed() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(3 * SECOND);
    let due = session.server.next_timeout().expect("it listens");
    assert!(
        due > session.now + IDLE_TIMEOUT - SECOND / 10,
        "it heard just now"
    );
    session
        .server
        .handle_datagram(due - SECOND, b"garbage is no sign of life");
    session.server.handle_timeout(due - Duration::from_nanos(1));
    assert!(!session.server.is_closed());
    session.server.handle_timeout(due);
    let close = session.server.poll_close().expect("it is told why");
    assert_eq!(close.reason, CloseReason::Idle);
}

#[test]
fn a_client_cannot_make_the_server_hold_more_than_a_message() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    // A message of the greatest length that is never finished...
    session
        .server
        .handle_stream(session.now, &1024_u32.to_le_bytes());
    for _ in 0..1023 {
        session.server.handle_stream(session.now, b"x");
    }
    assert!(!session.server.is_closed());
    // ...and once it is.
    session.server.handle_stream(session.now, b"x");
    let close = session.server.poll_close().expect("it is told why");
    assert_eq!(close.reason, CloseReason::Garbage);
}

#[test]
fn a_spectator_sees_and_steers_nobody() {
    let request = JoinRequest {
        watch: Some(Watch::Anyone),
        ..JoinRequest::from("Ada")
    };
    let mut session = Session::of(CALM, 64, 1, request);
    session.run(2 * SECOND);
    assert!(session.client.welcome().expect("it is in").spectator);
    let world = session.client.world().expect("it sees");
    assert_eq!(world.entities().count(), 2);
    assert_eq!(session.client.own_entity(), EntityId::NONE);
    assert_eq!(session.client.seen_through(), session.own);
    assert_eq!(session.consumed, []);
    let behind = session
        .world
        .tick
        .wrapping_sub(session.server.state_ack().newest.expect("it is told"));
    assert!(
        behind < 4,
        "the server knows what has arrived, {behind} ticks ago"
    );

    // One that commands all the same:
    let entity = session.own;
    let mut forged = ClientSession::new(session.now, "Ada");
    forged.handle_stream(session.now, &welcome_bytes());
    forged.send_command(tessera_protocol::Command {
        tick: session.world.tick.offset(3),
        entity,
        ..Default::default()
    });
    let datagram = forged.poll_datagram().expect("a command");
    session.server.handle_datagram(session.now, &datagram);
    session.run(SECOND);
    assert_eq!(session.consumed, []);
    assert_eq!(session.server.counters().spectator_commands, 1);
    assert!(
        !session.server.is_closed(),
        "it is heard of, so it isn't idle"
    );
}

/// What a server says to a player that it lets in.
fn welcome_bytes() -> Vec<u8> {
    let mut session = Session::new(CALM, 64, 1);
    let mut client = ClientSession::new(Duration::ZERO, "Ada");
    let hello = client.poll_stream().expect("a hello");
    session.server.handle_stream(Duration::ZERO, &hello);
    session.server.poll_hello().expect("it is whole");
    session.server.accept(&session.welcome());
    session.server.poll_stream().expect("a welcome")
}

#[test]
fn the_welcome_tells_how_to_come_back() {
    let mut session = Session::new(CALM, 64, 1);
    session.run(SECOND / 10);
    let welcome = session.client.welcome().expect("it plays");
    assert_eq!(
        (welcome.reconnect, welcome.reconnect_grace_s),
        (Some(SECRET), 2)
    );
    assert!(!welcome.resumed && !welcome.spectator);
}
