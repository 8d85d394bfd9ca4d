//! A whole client against a server's session, over a link in memory and in virtual time: what it
//! predicts happens, and what it aims at is what the server goes back to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use glam::DVec3;
use proptest::prelude::*;
use tessera_client::Client;
use tessera_protocol::{
    Audience, ClientId, ClientView, Command, EntityId, Field, FieldTable, FieldType, FrameEncoder,
    Kind, KindTable, Quantization, ServerSession, Snapshot, SnapshotHeader, StateConfig, Tick,
    WalkRules, Walker, Welcome, ZoneBatch, ZoneId, base,
};
use tessera_world::{WalkInput, WalkState, World};

const HZ: u32 = 64;
const OWN: EntityId = EntityId(1);
const RUNNER: EntityId = EntityId(2);

fn table() -> Arc<FieldTable> {
    let grounded = Field {
        name: "grounded".to_owned(),
        ty: FieldType::Bool,
        quantization: Quantization::Exact,
        audience: Audience::Owner,
    };
    let rules = [
        0.4, 1.8, 1.2, 0.4, 4.6, 7.0, 2.2, 7.0, 20.0, 60.0, 9.0, 13.0, 17.0,
    ];
    let kind = Kind {
        name: "Player".to_owned(),
        fields: base::fields(512.0).into_iter().chain([grounded]).collect(),
        hitbox: None,
        projectile: None,
        walker: Some(Walker {
            rules: WalkRules::from_values(rules),
            grounded: base::COUNT as u16,
            crouched: None,
            gliding: None,
            when: None,
        }),
        is_match: false,
    };
    Arc::new(FieldTable { kinds: vec![kind] })
}

/// Where the runner is at a tick: on a circle of 7 m, at 7 m/s.
fn runner(tick: f64) -> (DVec3, DVec3) {
    let angle = tick / f64::from(HZ);
    let (s, c) = angle.sin_cos();
    let middle = DVec3::new(250.0, 0.0, 240.0);
    let at = middle + DVec3::new(c, 0.0, s) * 7.0;
    (at, DVec3::new(-s, 0.0, c) * 7.0)
}

fn row(position: DVec3, velocity: DVec3, owner: u16, grounded: bool) -> Vec<u8> {
    let numbers = [position.to_array(), velocity.to_array()].concat();
    let mut row: Vec<u8> = numbers.into_iter().flat_map(f64::to_le_bytes).collect();
    row.extend([0; 8]); // yaw and pitch
    row.extend(owner.to_le_bytes());
    row.push(u8::from(grounded));
    row
}

/// One direction of the link: datagrams by arrival, streams in order.
#[derive(Default)]
struct Pipe(VecDeque<(Duration, Vec<u8>)>);

impl Pipe {
    fn send(&mut self, arrival: Duration, bytes: Vec<u8>) {
        let at = self.0.partition_point(|(other, _)| *other <= arrival);
        self.0.insert(at, (arrival, bytes));
    }

    fn receive(&mut self, now: Duration) -> Option<Vec<u8>> {
        let due = self.0.front().is_some_and(|(arrival, _)| *arrival <= now);
        due.then(|| self.0.pop_front())?.map(|(_, bytes)| bytes)
    }
}

/// A server of one client.
struct Server {
    session: ServerSession,
    encoder: FrameEncoder,
    view: ClientView,
    world: Arc<World>,
    tick: Tick,
    own: WalkState,
    held: Command,
    /// By tick: what was consumed in it, and the own player at its end.
    consumed: BTreeMap<u32, (Command, WalkState)>,
}

impl Server {
    fn new(world: Arc<World>) -> Self {
        Self {
            session: ServerSession::new(Duration::ZERO),
            encoder: FrameEncoder::new(table(), HZ, StateConfig::default()).expect("a good table"),
            view: ClientView::new(ClientId(0), 30_000),
            world,
            tick: Tick(1000),
            own: WalkState {
                position: DVec3::new(256.0, 0.0, 256.0),
                grounded: true,
                ..WalkState::default()
            },
            held: Command::default(),
            consumed: BTreeMap::new(),
        }
    }

    fn admit(&mut self) {
        if self.session.poll_hello().is_some() {
            self.session.accept(&Welcome {
                client: ClientId(0),
                tick: self.tick,
                tick_hz: HZ,
                mode: "test".to_owned(),
                map: "flat".to_owned(),
                map_hash: 0,
                declarations: table().into(),
                reconnect: None,
                reconnect_grace_s: 0,
                resumed: false,
                spectator: false,
            });
        }
    }

    /// A tick; returns what goes to the client.
    fn run_tick(&mut self) -> Vec<Vec<u8>> {
        let command = self.session.take_command(self.tick, OWN);
        self.held = command.unwrap_or(self.held);
        let rules = table().kinds[0].walker.expect("it walks").rules;
        let input = WalkInput::from(&self.held);
        let walked = self.world.walk(&rules, &self.own, &input, 1.0 / 64.0);
        self.own = walked.state;
        if let Some(command) = command {
            self.consumed.insert(self.tick.0, (command, self.own));
        }
        self.tick = self.tick.next();
        if self.session.client().is_none() {
            return Vec::new();
        }
        let mut rows = vec![KindTable::new(&table().kinds[0])];
        let (at, velocity) = runner(self.tick.0.into());
        let own = &self.own;
        let owner = ClientId(0).owner();
        for (id, row) in [
            (OWN, row(own.position, own.velocity, owner, own.grounded)),
            (RUNNER, row(at, velocity, 0, true)),
        ] {
            rows[0].insert_row(id, &row).expect("a good row");
        }
        let header = SnapshotHeader {
            tick: self.tick,
            ..SnapshotHeader::default()
        };
        let batch = ZoneBatch::of(ZoneId(0), &rows);
        self.encoder
            .encode(&Snapshot::seal(header, &[&batch], None));
        let mut datagrams = Vec::new();
        let ack = self.session.ack();
        self.view.handle_ack(self.session.state_ack());
        self.encoder.look(&mut self.view);
        self.encoder
            .pack(&mut self.view, ack, |bytes| datagrams.push(bytes.to_vec()));
        datagrams
    }
}

/// What the client did in the last seconds, by the tick of the command.
struct Played {
    server: Server,
    client: Client,
    /// Where it predicted itself to be at the end of the tick, and where it saw the runner.
    sent: BTreeMap<u32, (DVec3, DVec3)>,
    corrections: Vec<f64>,
}

/// Plays for 8 s; datagrams take `latency` and up to `jitter` more.
fn play(seed: u64, latency: Duration, jitter: Duration, loss: f64) -> Played {
    let world = Arc::new(World::flat(512.0));
    let mut server = Server::new(Arc::clone(&world));
    let mut client = Client::new(Duration::ZERO, "Ada");
    client.set_map(world);
    let (mut up, mut down) = (Pipe::default(), Pipe::default());
    let (mut sent, mut corrections) = (BTreeMap::new(), Vec::new());
    let mut dice = seed;
    let mut unit = move || {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut streams_up, mut streams_down) = (Pipe::default(), Pipe::default());
    for quarter_ms in 0..32_000u64 {
        let now = Duration::from_micros(250 * quarter_ms);
        while let Some(bytes) = streams_up.receive(now) {
            server.session.handle_stream(now, &bytes);
        }
        while let Some(bytes) = up.receive(now) {
            server.session.handle_datagram(now, &bytes);
        }
        server.admit();
        if let Some(bytes) = server.session.poll_stream() {
            streams_down.send(now + latency, bytes);
        }
        if now.as_secs_f64() * f64::from(HZ) >= f64::from(server.tick.0 - 1000) {
            for datagram in server.run_tick() {
                if unit() >= loss {
                    down.send(now + latency + jitter.mul_f64(unit()), datagram);
                }
            }
        }

        while let Some(bytes) = streams_down.receive(now) {
            client.handle_stream(now, &bytes);
        }
        while let Some(bytes) = down.receive(now) {
            client.handle_datagram(now, &bytes);
        }
        while let Some(error) = client.poll_correction() {
            corrections.push(error);
        }
        while let Some(tick) = client.poll_command_tick(now) {
            client.advance(now);
            let turn = tick.0 as f32 * 0.05;
            let command = Command {
                tick,
                entity: client.session().own_entity(),
                move_x: turn.sin(),
                move_z: turn.cos(),
                ..Command::default()
            };
            client.send_command(now, command);
            if let (Some(own), Some(seen)) = (client.own(), client.pose(RUNNER)) {
                sent.insert(tick.0, (own.position, seen.position));
            }
        }
        if let Some(bytes) = client.poll_stream() {
            streams_up.send(now + latency, bytes);
        }
        if let Some(bytes) = client.poll_datagram()
            && unit() >= loss
        {
            up.send(now + latency + jitter.mul_f64(unit()), bytes);
        }
    }
    Played {
        server,
        client,
        sent,
        corrections,
    }
}

/// Where the server goes back to for a command of this tick: between two states on the straight line.
fn rewound(tick: u32, rewind: f64) -> DVec3 {
    let moment = f64::from(tick) - rewind;
    let (before, share) = (runner(moment.floor()).0, moment.fract());
    before + (runner(moment.floor() + 1.0).0 - before) * share
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn what_is_seen_is_what_the_server_goes_back_to(
        seed in any::<u64>(), latency_ms in 1..45u64, jitter_ms in 0..12u64, loss in 0.0..0.05f64,
    ) {
        let ms = Duration::from_millis;
        let played = play(seed, ms(latency_ms), ms(jitter_ms), loss);
        let (mut shots, mut good) = (0, 0);
        for (tick, (command, _)) in played.server.consumed.range(1256..) {
            let Some((_, seen)) = played.sent.get(tick) else { continue };
            let error = seen.distance(rewound(*tick, command.rewind(HZ)));
            shots += 1;
            good += u32::from(error < 0.05);
            // Only what had to be extrapolated may be off, and by little.
            prop_assert!(error < 0.3, "{} m at tick {}", error, tick);
        }
        prop_assert!(shots > 200, "{} shots", shots);
        prop_assert!(good * 100 >= shots * 95, "{} of {}", good, shots);
    }
}

#[test]
fn the_own_player_is_where_it_was_predicted() {
    let ms = Duration::from_millis;
    let played = play(7, ms(40), ms(5), 0.0);
    let own = played.client.own().expect("in sight");
    assert!(own.predicted);
    let round_trip = played.client.clock().and_then(|clock| clock.round_trip());
    let round_trip_ms = round_trip.expect("acknowledged").as_secs_f64() * 1e3;
    assert!((80.0..110.0).contains(&round_trip_ms), "{round_trip_ms}");
    let mut count = 0;
    for (tick, (_, state)) in played.server.consumed.range(1128..) {
        if let Some((predicted, _)) = played.sent.get(tick) {
            let error = predicted.distance(state.position);
            assert!(error < 0.02, "{error} m at tick {tick}");
            count += 1;
        }
    }
    assert!(count > 300, "{count}");
    assert!(played.corrections.len() > 300);
    let late = &played.corrections[128..];
    assert!(late.iter().all(|error| *error < 0.02), "{late:?}");
}
