//! A server and a client with a link between them in memory, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tessera_protocol::session::{HANDSHAKE_TIMEOUT, Parting, Seats, Sitting};
use tessera_protocol::{
    ClientEvent, ClientId, ClientSession, ClientView, Close, CloseReason, Command, EntityId,
    FrameEncoder, Hello, JoinRequest, ReconnectSecret, ServerSession, SharedDeclarations,
    StateConfig, Tick, Welcome,
};

use super::world::{Rng, Thing, World, table};

/// What a link does to datagrams; streams are reliable and in order, as QUIC's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// One way, least.
    pub(crate) latency: Duration,
    /// Most that is added to it, evenly spread: above a tick's time it reorders.
    pub(crate) jitter: Duration,
    /// Share of datagrams lost.
    pub(crate) loss: f64,
    /// Share of datagrams that arrive twice.
    pub(crate) twice: f64,
}

/// Links of up to 160 ms one way, on which datagrams overtake each other, get lost and arrive twice.
pub(crate) fn bad_weather() -> impl Strategy<Value = Weather> {
    (0..120_u64, 0..40_u64, 0.0..0.2, 0.0..0.2).prop_map(|(latency, jitter, loss, twice)| Weather {
        latency: Duration::from_millis(latency),
        jitter: Duration::from_millis(jitter),
        loss,
        twice,
    })
}

pub(crate) const CALM: Weather = Weather {
    latency: Duration::from_millis(1),
    jitter: Duration::ZERO,
    loss: 0.0,
    twice: 0.0,
};

/// Bytes under way.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Stream(Vec<u8>),
    Datagram(Vec<u8>),
    Close(Close),
}

/// One direction of a link.
#[derive(Debug)]
struct Pipe {
    weather: Weather,
    rng: Rng,
    /// By arrival, then by order of sending.
    items: BTreeMap<(Duration, u64), Item>,
    sent: u64,
    /// When the stream's last bytes arrive: later ones never overtake them.
    stream: Duration,
}

impl Pipe {
    fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            rng: Rng(seed),
            items: BTreeMap::new(),
            sent: 0,
            stream: Duration::ZERO,
        }
    }

    fn send(&mut self, now: Duration, item: Item) {
        let datagram = matches!(item, Item::Datagram(_));
        if datagram && self.rng.unit() < self.weather.loss {
            return;
        }
        let copies = if datagram && self.rng.unit() < self.weather.twice {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut arrival =
                now + self.weather.latency + self.weather.jitter.mul_f64(self.rng.unit());
            if !datagram {
                arrival = arrival.max(self.stream);
                self.stream = arrival;
            }
            self.sent += 1;
            self.items.insert((arrival, self.sent), item.clone());
        }
    }

    fn receive(&mut self, now: Duration) -> Option<Item> {
        let entry = self
            .items
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}

/// A command as a server's tick consumed it.
pub(crate) type Consumed = (Tick, Command);

/// A server of one client, a client, and the link.
pub(crate) struct Session {
    pub(crate) now: Duration,
    pub(crate) server: ServerSession,
    pub(crate) client: ClientSession,
    pub(crate) world: World,
    pub(crate) tick_hz: u32,
    pub(crate) events: Vec<ClientEvent>,
    pub(crate) consumed: Vec<Consumed>,
    /// What the server says when it is asked.
    pub(crate) admit: fn(&mut ServerSession, &Welcome),
    /// What the client does with a command before it sends it.
    pub(crate) forge: fn(&mut Command),
    /// The client makes no commands, as one that has no player yet.
    pub(crate) silent: bool,
    /// The client's player.
    pub(crate) own: EntityId,
    /// Who may come back; the time of grace is [`GRACE`].
    pub(crate) seats: Seats,
    /// The connection's hold on its slot.
    sitting: Option<Sitting>,
    weather: Weather,
    up: Pipe,
    down: Pipe,
    encoder: FrameEncoder,
    view: ClientView,
    tick_due: Duration,
}

impl Session {
    pub(crate) fn new(weather: Weather, tick_hz: u32, seed: u64) -> Self {
        Self::of(weather, tick_hz, seed, "Ada")
    }

    /// As [`Session::new`], of a client that asks for this.
    pub(crate) fn of(
        weather: Weather,
        tick_hz: u32,
        seed: u64,
        request: impl Into<JoinRequest>,
    ) -> Self {
        let mut world = World::at(u32::MAX - 200);
        let own = world.add(Thing::player(500.0, 500.0, Some(0)));
        world.add(Thing::rock(510.0, 500.0));
        Self {
            now: Duration::ZERO,
            server: ServerSession::new(Duration::ZERO),
            client: ClientSession::new(Duration::ZERO, request),
            world,
            tick_hz,
            events: Vec::new(),
            consumed: Vec::new(),
            admit: |server, welcome| server.accept(welcome),
            forge: |_| {},
            silent: false,
            own,
            seats: Seats::new(1, GRACE),
            sitting: None,
            weather,
            up: Pipe::new(weather, seed),
            down: Pipe::new(weather, !seed),
            encoder: FrameEncoder::new(table(), tick_hz, StateConfig::default())
                .expect("a good table"),
            view: ClientView::new(ClientId(0), 30_000),
            tick_due: Duration::ZERO,
        }
    }

    /// Lets time pass, in steps of a quarter of a millisecond.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_micros(250);
            self.run_server();
            self.run_client();
        }
    }

    /// Loses the connection and all that is under way; neither end is told why. Says what becomes of
    /// the client's slot.
    pub(crate) fn cut(&mut self) -> Parting {
        self.up.items.clear();
        self.down.items.clear();
        self.server.handle_closed();
        self.client.handle_closed(Close::lost("cut"));
        self.events
            .extend(std::iter::from_fn(|| self.client.poll_event()));
        let sitting = self.sitting.take().expect("it sits");
        self.seats.lose(sitting, self.now)
    }

    /// Connects again: both ends begin anew, the world goes on.
    pub(crate) fn dial_again(&mut self, request: impl Into<JoinRequest>) {
        let seed = self.up.rng.next();
        (self.up, self.down) = (
            Pipe::new(self.weather, seed),
            Pipe::new(self.weather, !seed),
        );
        self.server = ServerSession::new(self.now);
        self.client = ClientSession::new(self.now, request);
        self.view = ClientView::new(ClientId(0), 30_000);
        self.events.clear();
    }

    /// Lets the server's ticks stand still for a while; none is made up for.
    pub(crate) fn stall(&mut self, time: Duration) {
        self.tick_due = self.now + time;
        self.run(time);
    }

    /// The bytes that the server sends as if they were its own.
    pub(crate) fn inject(&mut self, item: Item) {
        self.down.send(self.now, item);
    }

    fn run_server(&mut self) {
        while let Some(item) = self.up.receive(self.now) {
            match item {
                Item::Stream(bytes) => self.server.handle_stream(self.now, &bytes),
                Item::Datagram(bytes) => self.server.handle_datagram(self.now, &bytes),
                Item::Close(_) => self.server.handle_closed(),
            }
        }
        self.server.handle_timeout(self.now);
        if let Some(hello) = self.server.poll_hello() {
            assert_eq!(hello.name, "Ada");
            match self.seat(&hello) {
                Some(welcome) => (self.admit)(&mut self.server, &welcome),
                None => self.server.close(CloseReason::SessionUnknown, "too late"),
            }
        }
        if self.now >= self.tick_due {
            self.tick_due += Duration::from_secs(1) / self.tick_hz;
            self.run_tick();
        }
        if let Some(bytes) = self.server.poll_stream() {
            self.down.send(self.now, Item::Stream(bytes));
        }
        if let Some(close) = self.server.poll_close() {
            self.down.send(self.now, Item::Close(close));
        }
    }

    fn run_tick(&mut self) {
        if let Some(command) = self.server.take_command(self.world.tick, self.own) {
            self.consumed.push((self.world.tick, command));
        }
        self.world.tick = self.world.tick.next();
        if self.server.client().is_some() {
            let declarations = &self.world.declarations;
            let others = self.encoder.set_declarations(declarations);
            if others.expect("a good table") {
                self.server.declare(&SharedDeclarations::new(declarations));
            }
            self.encoder.encode(&self.world.snapshot());
            self.view.handle_ack(self.server.state_ack());
            self.encoder.look(&mut self.view);
            let (down, now) = (&mut self.down, self.now);
            self.encoder
                .pack(&mut self.view, self.server.ack(), |datagram| {
                    down.send(now, Item::Datagram(datagram.to_vec()));
                });
        }
    }

    fn run_client(&mut self) {
        while let Some(item) = self.down.receive(self.now) {
            match item {
                Item::Stream(bytes) => self.client.handle_stream(self.now, &bytes),
                Item::Datagram(bytes) => {
                    self.client.handle_datagram(self.now, &bytes);
                }
                Item::Close(close) => {
                    let close = Close::received(close.reason.code(), close.text.as_bytes());
                    self.client.handle_closed(close);
                }
            }
        }
        if self
            .client
            .next_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.client.handle_timeout(self.now);
            self.make_commands();
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push(event);
        }
        if let Some(bytes) = self.client.poll_stream() {
            self.up.send(self.now, Item::Stream(bytes));
        }
        if let Some(bytes) = self.client.poll_datagram() {
            self.up.send(self.now, Item::Datagram(bytes));
        }
        if let Some(close) = self.client.poll_close() {
            self.up.send(self.now, Item::Close(close));
        }
    }

    fn make_commands(&mut self) {
        while let Some(tick) = self.client.poll_command_tick(self.now) {
            // The yaw carries the tick, so that a mix-up shows.
            let yaw = (tick.0 % 6) as f32 - 3.0;
            let entity = self.client.own_entity();
            let mut command = Command {
                tick,
                entity,
                yaw,
                ..Command::default()
            };
            (self.forge)(&mut command);
            if !self.silent {
                self.client.send_command(command);
            }
        }
    }

    /// The welcome for a hello, if there is a seat for it.
    fn seat(&mut self, hello: &Hello) -> Option<Welcome> {
        let secret = hello.reconnect.unwrap_or(SECRET);
        let sitting = match hello.reconnect {
            Some(secret) => self.seats.resume(secret, self.now)?.sitting,
            None => self.seats.sit(&hello.name, SECRET)?,
        };
        self.sitting = Some(sitting);
        Some(Welcome {
            client: sitting.client,
            reconnect: Some(secret),
            reconnect_grace_s: GRACE.as_secs() as u32,
            resumed: hello.reconnect.is_some(),
            spectator: hello.watch.is_some(),
            ..self.welcome()
        })
    }

    pub(crate) fn welcome(&self) -> Welcome {
        Welcome {
            client: ClientId(0),
            tick: self.world.tick,
            tick_hz: self.tick_hz,
            mode: "royale".to_owned(),
            map: "island".to_owned(),
            map_hash: 0xfeed_beef,
            declarations: self.world.declarations.clone(),
            reconnect: None,
            reconnect_grace_s: 0,
            resumed: false,
            spectator: false,
        }
    }

    /// The close that the client heard of, if it did.
    pub(crate) fn closed(&self) -> Option<&Close> {
        self.events.iter().find_map(|event| match event {
            ClientEvent::Closed(close) => Some(close),
            _ => None,
        })
    }
}

/// How long a lost client has to come back.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// What the first client's welcome has.
pub(crate) const SECRET: ReconnectSecret = ReconnectSecret([0x5e; ReconnectSecret::LEN]);

/// Long enough for any handshake to time out.
pub(crate) const PATIENCE: Duration = HANDSHAKE_TIMEOUT.saturating_add(Duration::from_secs(1));
