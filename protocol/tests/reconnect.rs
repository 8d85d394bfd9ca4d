//! A client that loses its connection and comes back, in memory and virtual time.

mod common;

use std::time::Duration;

use common::link::{CALM, GRACE, Session, bad_weather};
use proptest::prelude::*;
use tessera_protocol::session::Parting;
use tessera_protocol::{ClientId, CloseReason, JoinRequest, ReconnectSecret};

const SECOND: Duration = Duration::from_secs(1);

/// What a client asks for that had this secret.
fn again(secret: ReconnectSecret) -> JoinRequest {
    JoinRequest {
        reconnect: Some(secret),
        ..JoinRequest::from("Ada")
    }
}

/// Plays for a while and loses the connection; gives what brings the client back.
fn lost(session: &mut Session, after: Duration) -> ReconnectSecret {
    session.run(after);
    let welcome = session.client.welcome().expect("it plays").clone();
    assert_eq!(session.cut(), Parting::Away);
    assert_eq!(
        session.closed().map(|close| close.reason),
        Some(CloseReason::Lost)
    );
    welcome.reconnect.expect("there is a time of grace")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whoever_is_back_in_time_has_the_same_player_and_commands_it_again(
        seed in any::<u64>(), weather in bad_weather(),
        played_ms in 1000..3000_u64, away_ms in 0..4000_u64,
    ) {
        let mut session = Session::new(weather, 64, seed);
        let secret = lost(&mut session, Duration::from_millis(played_ms));
        let (began, before) = (session.now, session.consumed.len());
        session.run(Duration::from_millis(away_ms));
        prop_assert_eq!(session.consumed.len(), before, "nobody steers it meanwhile");
        session.dial_again(again(secret));
        session.run(3 * SECOND);
        // The hello travels for as long as the weather has it.
        let soonest = Duration::from_millis(away_ms) + weather.latency;
        let latest = soonest + weather.jitter + Duration::from_millis(1);
        if latest < GRACE {
            let welcome = session.client.welcome().expect("it is back in time");
            prop_assert!(welcome.resumed);
            prop_assert_eq!(welcome.client, ClientId(0));
            prop_assert_eq!(welcome.reconnect, Some(secret), "and may come back again");
            prop_assert_eq!(session.client.own_entity(), session.own);
            prop_assert!(session.consumed.len() > before + 64, "it commands again");
            for pair in session.consumed.windows(2) {
                prop_assert!(pair[1].0.is_newer_than(pair[0].0), "each tick consumes once");
            }
            prop_assert_eq!(session.seats.poll_lapsed(began + 100 * GRACE), None);
        } else if soonest >= GRACE {
            let close = session.closed().expect("it is told");
            prop_assert_eq!(close.reason, CloseReason::SessionUnknown);
            prop_assert_eq!(session.seats.poll_lapsed(session.now), Some(ClientId(0)));
            prop_assert_eq!(session.seats.poll_lapsed(session.now), None);
        }
    }
}

#[test]
fn one_comes_back_as_often_as_one_is_lost() {
    let mut session = Session::new(CALM, 64, 1);
    let mut secret = lost(&mut session, SECOND);
    for _ in 0..5 {
        session.run(GRACE - SECOND / 2);
        session.dial_again(again(secret));
        secret = lost(&mut session, SECOND);
    }
    session.run(GRACE);
    assert_eq!(session.seats.poll_lapsed(session.now), Some(ClientId(0)));
}

#[test]
fn a_connection_that_is_lost_before_the_welcome_costs_no_chance() {
    let mut session = Session::new(CALM, 64, 1);
    let secret = lost(&mut session, SECOND);
    session.dial_again(again(secret));
    // The hello has arrived, the welcome not yet.
    session.run(CALM.latency + Duration::from_micros(250));
    assert!(session.server.client().is_some() && session.client.welcome().is_none());
    session.cut();
    session.dial_again(again(secret));
    session.run(SECOND);
    assert!(session.client.welcome().expect("it is back").resumed);
}

#[test]
fn a_guessed_secret_brings_nobody_back() {
    let mut session = Session::new(CALM, 64, 1);
    let mut secret = lost(&mut session, SECOND);
    secret.0[15] ^= 1;
    session.dial_again(again(secret));
    session.run(SECOND);
    let close = session.closed().expect("it is told");
    assert_eq!(close.reason, CloseReason::SessionUnknown);
    assert_eq!(session.seats.away(), 1, "the player waits for its client");
}
