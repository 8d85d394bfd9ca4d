//! The way of inputs from the sessions into the tick: who joined, who left, and one command a client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use tessera_protocol::{ClientId, CommandAck, EntityId, ServerSession, Tick};
use tessera_sim::TickInputs;

/// Players that join in one tick; who comes beyond joins in the next ones. Each costs the match entity a
/// message and a spawn, which it may do 256 times in a tick, and within its zone's budget of time: broken
/// off, it would lose all joins of that tick.
const JOINS_MAX: usize = 16;

/// A client's session machine. The client's task feeds it, the tick thread takes a command a tick,
/// the network thread adds events. None of them holds it while it waits for anything, so the tick
/// thread never stands behind more than a few microseconds of work.
#[derive(Debug)]
pub(crate) struct SharedSession(Mutex<ServerSession>);

impl SharedSession {
    pub(crate) fn new(session: ServerSession) -> SharedSession {
        SharedSession(Mutex::new(session))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ServerSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that came or went, told to the tick thread.
#[derive(Debug)]
pub(crate) enum RosterChange {
    /// A client is in, and its commands come out of the session.
    Join {
        client: ClientId,
        name: String,
        session: Arc<SharedSession>,
    },
    /// A client's connection was lost. Its player stays in the match and is sent no commands.
    Away { client: ClientId },
    /// A client has come back to its player; its commands come out of this session from now on.
    Return {
        client: ClientId,
        session: Arc<SharedSession>,
    },
    /// A client is out. Its slot is free again once the tick that hears of this is published.
    Leave { client: ClientId },
}

/// The sessions' end. Unbounded, and yet bounded: a slot has at most one join and one leave in it,
/// since it is not given again before its leave was handled, and each coming back took a handshake.
pub(crate) type RosterSender = Sender<RosterChange>;

/// The tick thread's end: collects what one tick consumes.
pub(crate) struct Intake {
    roster: Receiver<RosterChange>,
    /// By client.
    clients: Vec<(ClientId, Arc<SharedSession>)>,
    /// Who joins in the next ticks, in order of coming.
    waiting: VecDeque<(ClientId, String)>,
    /// Who left in the very tick in which they joined.
    gone_at_once: Vec<ClientId>,
    inputs: TickInputs,
    /// See [`Intake::left`].
    left: Vec<ClientId>,
    acks: Vec<(ClientId, CommandAck)>,
}

impl Intake {
    pub(crate) fn new() -> (RosterSender, Intake) {
        let (sender, roster) = crossbeam_channel::unbounded();
        let intake = Intake {
            roster,
            clients: Vec::new(),
            waiting: VecDeque::new(),
            gone_at_once: Vec::new(),
            inputs: TickInputs::default(),
            left: Vec::new(),
            acks: Vec::new(),
        };
        (sender, intake)
    }

    /// What the tick that starts from `tick` consumes. `owners` says, by client, whom each steers.
    pub(crate) fn collect(&mut self, tick: Tick, owners: &[(ClientId, EntityId)]) -> &TickInputs {
        self.inputs.joins.clear();
        self.inputs.leaves.clear();
        self.inputs.commands.clear();
        self.acks.clear();
        self.left.clear();
        self.inputs.leaves.append(&mut self.gone_at_once);
        self.join_waiting();
        while let Ok(change) = self.roster.try_recv() {
            self.apply(change);
        }
        self.left.extend_from_slice(&self.inputs.leaves);
        for (client, session) in &self.clients {
            let owned = owners.binary_search_by_key(client, |(owner, _)| *owner);
            let own = owned.map_or(EntityId::NONE, |at| owners[at].1);
            let mut session = session.lock();
            if let Some(command) = session.take_command(tick, own) {
                self.inputs.commands.push((*client, command));
            }
            self.acks.push((*client, session.ack()));
        }
        &self.inputs
    }

    /// The clients whose slots are free after the last collected tick: those whose leaving it hears
    /// of, and those that left before it heard of their joining.
    pub(crate) fn left(&self) -> &[ClientId] {
        &self.left
    }

    /// What became of each client's commands up to the last collected tick, by client.
    pub(crate) fn acks(&self) -> &[(ClientId, CommandAck)] {
        &self.acks
    }

    fn apply(&mut self, change: RosterChange) {
        match change {
            RosterChange::Join {
                client,
                name,
                session,
            } => {
                self.listen_to(client, session);
                self.waiting.push_back((client, name));
                self.join_waiting();
            }
            RosterChange::Away { client } => self.listen_no_more(client),
            RosterChange::Return { client, session } => {
                self.listen_no_more(client);
                self.listen_to(client, session);
            }
            RosterChange::Leave { client } => {
                self.listen_no_more(client);
                self.leave(client);
            }
        }
    }

    fn join_waiting(&mut self) {
        let room = JOINS_MAX.saturating_sub(self.inputs.joins.len());
        let joining = self.waiting.len().min(room);
        self.inputs.joins.extend(self.waiting.drain(..joining));
    }

    fn leave(&mut self, client: ClientId) {
        if let Some(at) = self.waiting.iter().position(|(other, _)| *other == client) {
            // The match knows nothing of it, and need not.
            self.waiting.remove(at);
            self.left.push(client);
            return;
        }
        let joined_now = self.inputs.joins.iter().any(|(other, _)| *other == client);
        match joined_now {
            // What a join spawns is there a tick later: a leave that came with it would find
            // nobody to take away.
            true => self.gone_at_once.push(client),
            false => self.inputs.leaves.push(client),
        }
    }

    fn listen_to(&mut self, client: ClientId, session: Arc<SharedSession>) {
        let at = self.clients.partition_point(|(other, _)| *other < client);
        self.clients.insert(at, (client, session));
    }

    fn listen_no_more(&mut self, client: ClientId) {
        self.clients.retain(|(other, _)| *other != client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tessera_protocol::{ClientSession, Command, Declarations, Welcome};

    const NOW: Duration = Duration::ZERO;

    /// A client that has been let in as `client`, and the server's end of its session.
    fn playing(client: u16) -> (ClientSession, Arc<SharedSession>) {
        let welcome = Welcome {
            client: ClientId(client),
            tick: Tick(10),
            tick_hz: 64,
            mode: "test".into(),
            map: "flat".into(),
            map_hash: 0,
            declarations: Declarations::default(),
            reconnect: None,
            reconnect_grace_s: 0,
            resumed: false,
            spectator: false,
        };
        let mut near = ClientSession::new(NOW, format!("player {client}"));
        let mut far = ServerSession::new(NOW);
        far.handle_stream(NOW, &near.poll_stream().expect("a hello"));
        far.poll_hello().expect("a good hello");
        far.accept(&welcome);
        near.handle_stream(NOW, &far.poll_stream().expect("a welcome"));
        assert!(near.welcome().is_some(), "the client is in");
        (near, Arc::new(SharedSession::new(far)))
    }

    fn join(sender: &RosterSender, client: u16, session: &Arc<SharedSession>) {
        let change = RosterChange::Join {
            client: ClientId(client),
            name: format!("player {client}"),
            session: session.clone(),
        };
        sender.send(change).expect("the intake lives");
    }

    fn send(near: &mut ClientSession, far: &SharedSession, tick: u32, entity: u32) {
        near.send_command(Command {
            tick: Tick(tick),
            entity: EntityId(entity),
            ..Command::default()
        });
        far.lock()
            .handle_datagram(NOW, &near.poll_datagram().expect("commands"));
    }

    #[test]
    fn each_tick_consumes_its_command_of_each_client() {
        let (sender, mut intake) = Intake::new();
        let ((mut seven, at_seven), (mut three, at_three)) = (playing(7), playing(3));
        join(&sender, 7, &at_seven);
        join(&sender, 3, &at_three);
        let owners = [(ClientId(3), EntityId(30)), (ClientId(7), EntityId(70))];
        for tick in 10..13 {
            send(&mut three, &at_three, tick, 30);
        }
        send(&mut seven, &at_seven, 11, 70);
        assert_eq!(intake.collect(Tick(10), &owners).joins.len(), 2);
        let inputs = intake.collect(Tick(11), &owners);
        let got: Vec<_> = inputs
            .commands
            .iter()
            .map(|(c, command)| (c.0, command.tick.0))
            .collect();
        assert_eq!(got, [(3, 11), (7, 11)]);
        assert!(inputs.joins.is_empty());
        intake.collect(Tick(12), &owners);
        let consumed: Vec<_> = intake
            .acks()
            .iter()
            .map(|(c, ack)| (c.0, ack.consumed))
            .collect();
        assert_eq!(consumed, [(3, Some(Tick(12))), (7, Some(Tick(11)))]);
    }

    #[test]
    fn commands_for_someone_elses_player_are_counted_and_dropped() {
        let (sender, mut intake) = Intake::new();
        let (mut near, far) = playing(0);
        join(&sender, 0, &far);
        send(&mut near, &far, 10, 99);
        let owners = [(ClientId(0), EntityId(5))];
        assert!(intake.collect(Tick(10), &owners).commands.is_empty());
        assert_eq!(far.lock().counters().foreign, 1);
    }

    #[test]
    fn who_leaves_at_once_leaves_a_tick_after_joining() {
        let (sender, mut intake) = Intake::new();
        let (_near, far) = playing(0);
        join(&sender, 0, &far);
        let leave = RosterChange::Leave {
            client: ClientId(0),
        };
        sender.send(leave).expect("the intake lives");
        let inputs = intake.collect(Tick(10), &[]);
        assert_eq!((inputs.joins.len(), inputs.leaves.len()), (1, 0));
        assert!(intake.left().is_empty(), "its slot is not free yet");
        assert_eq!(intake.collect(Tick(11), &[]).leaves, [ClientId(0)]);
        assert!(intake.collect(Tick(12), &[]).leaves.is_empty());
    }

    #[test]
    fn who_left_has_no_commands_any_more() {
        let (sender, mut intake) = Intake::new();
        let (mut near, far) = playing(0);
        join(&sender, 0, &far);
        intake.collect(Tick(10), &[]);
        send(&mut near, &far, 11, 0);
        let leave = RosterChange::Leave {
            client: ClientId(0),
        };
        sender.send(leave).expect("the intake lives");
        let inputs = intake.collect(Tick(11), &[]);
        assert_eq!(inputs.leaves, [ClientId(0)]);
        assert!(inputs.commands.is_empty());
        assert!(intake.acks().is_empty());
    }

    #[test]
    fn who_is_away_is_still_in_the_match_and_commands_again_after_coming_back() {
        let (sender, mut intake) = Intake::new();
        let ((mut lost, at_lost), (mut back, at_back)) = (playing(0), playing(0));
        let owners = [(ClientId(0), EntityId(5))];
        join(&sender, 0, &at_lost);
        intake.collect(Tick(10), &owners);
        let client = ClientId(0);
        sender
            .send(RosterChange::Away { client })
            .expect("it lives");
        send(&mut lost, &at_lost, 11, 5);
        let inputs = intake.collect(Tick(11), &owners);
        assert!(inputs.leaves.is_empty() && inputs.commands.is_empty());
        let session = at_back.clone();
        let change = RosterChange::Return { client, session };
        sender.send(change).expect("it lives");
        send(&mut back, &at_back, 12, 5);
        let inputs = intake.collect(Tick(12), &owners);
        assert!(inputs.joins.is_empty(), "it had joined before");
        assert_eq!(inputs.commands.len(), 1);
    }

    #[test]
    fn who_takes_over_is_heard_instead_of_the_old_connection() {
        let (sender, mut intake) = Intake::new();
        let ((mut old, at_old), (mut new, at_new)) = (playing(0), playing(0));
        join(&sender, 0, &at_old);
        let change = RosterChange::Return {
            client: ClientId(0),
            session: at_new.clone(),
        };
        sender.send(change).expect("it lives");
        send(&mut old, &at_old, 10, 4);
        send(&mut new, &at_new, 10, 5);
        let inputs = intake.collect(Tick(10), &[(ClientId(0), EntityId(5))]);
        let entities: Vec<_> = inputs.commands.iter().map(|(_, c)| c.entity.0).collect();
        assert_eq!((inputs.joins.len(), entities), (1, vec![5]));
    }

    #[test]
    fn a_crowd_joins_over_several_ticks_in_order_of_coming() {
        let (sender, mut intake) = Intake::new();
        let (_near, far) = playing(0);
        let crowd = 2 * JOINS_MAX as u16 + 5;
        for client in 0..crowd {
            join(&sender, client, &far);
        }
        let last = ClientId(crowd - 1);
        sender
            .send(RosterChange::Leave { client: last })
            .expect("it lives");
        let mut joined = Vec::new();
        for (tick, expected) in [(10, JOINS_MAX), (11, JOINS_MAX), (12, 4), (13, 0)] {
            let inputs = intake.collect(Tick(tick), &[]);
            assert_eq!(inputs.joins.len(), expected);
            assert!(inputs.leaves.is_empty(), "it never joined");
            joined.extend(inputs.joins.iter().map(|(client, _)| client.0));
            let left: &[ClientId] = if tick == 10 { &[last] } else { &[] };
            assert_eq!(intake.left(), left, "its slot is free");
        }
        assert_eq!(joined, (0..crowd - 1).collect::<Vec<_>>());
    }
}
