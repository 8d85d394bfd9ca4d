//! The own player: where it will be when the server has consumed the commands under way.

use std::collections::VecDeque;
use std::sync::Arc;

use glam::DVec3;
use tessera_protocol::fields::base;
use tessera_protocol::{Command, EntityRef, Kind, Quantization, Tick, ValueRef, Walker};
use tessera_world::{WalkInput, WalkState, World};

/// Commands that may be under way: two seconds at 64 ticks a second. The oldest are given up.
const STEPS_MAX: usize = 128;
/// Ticks without a command that are walked on with the wish before, as the server does.
const FILL_TICKS_MAX: i32 = 32;
/// Part of a visible error that is left after a tick.
const KEEP: f64 = 0.75;
/// A visible error below this is none any more, metres.
const SEEN_MIN_M: f64 = 1e-3;
/// Who is this far from where it was predicted was put there by the rules, metres: nobody walks,
/// falls or is pushed so far in the quarter of a second that a state may be old.
const LEAP_M: f64 = 5.0;

/// Predicts a player's walk and reconciles it with the server's states (Bernier 2001; Fiedler,
/// "Networked Physics").
///
/// 1. For each command, as it is sent: [`handle_command`](Self::handle_command).
/// 2. For each state that tells of the own player: [`handle_state`](Self::handle_state). It takes
///    the server's word for that tick, unless the prediction was the same up to rounding, and walks
///    again through the commands since.
/// 3. [`state`](Self::state) is what the player is after the newest command, and
///    [`position`](Self::position) where to show it: a correction is smoothed over a few ticks.
#[derive(Clone, Debug)]
pub struct Predictor {
    world: Arc<World>,
    walker: Walker,
    dt: f64,
    /// Half a step of the rounding on the wire: metres, and metres per second.
    position_rounding: f64,
    velocity_rounding: f64,
    /// What the server is known to have had at this tick's start.
    base: Option<(Tick, WalkState)>,
    /// Of consecutive ticks from the base's on.
    steps: VecDeque<Step>,
    /// Shown minus predicted, metres.
    offset: DVec3,
    leaps: u64,
}

/// A tick of the own player.
#[derive(Clone, Copy, Debug)]
struct Step {
    tick: Tick,
    input: WalkInput,
    /// At the end of the tick.
    after: WalkState,
}

impl Predictor {
    /// A predictor for a player of this kind on this map; `None` where the kind doesn't walk.
    pub fn new(world: Arc<World>, kind: &Kind, tick_hz: u32) -> Option<Self> {
        let rounding = |field: usize| match kind.fields[field].quantization {
            Quantization::Range { min, max, bits } => {
                (max - min) / (f64::from(u32::MAX >> (32 - bits)) * 2.0) * 1.001
            }
            _ => 0.0,
        };
        Some(Self {
            world,
            walker: kind.walker?,
            dt: 1.0 / f64::from(tick_hz),
            position_rounding: rounding(base::POSITION),
            velocity_rounding: rounding(base::VELOCITY),
            base: None,
            steps: VecDeque::with_capacity(STEPS_MAX),
            offset: DVec3::ZERO,
            leaps: 0,
        })
    }

    /// Where the fields of the player's kind are, which new declarations may have moved; it walks as before.
    pub fn read_by(&mut self, kind: &Kind) {
        if let Some(walker) = kind.walker {
            self.walker = walker;
        }
    }

    /// What the server says of the player, and whether it walks at all.
    pub fn read(&self, entity: &EntityRef<'_>) -> (WalkState, bool) {
        let flag = |field: Option<u16>, unknown| {
            let value = field.and_then(|field| entity.field(field.into()));
            match value {
                Some(ValueRef::Bool(flag)) => flag,
                _ => unknown,
            }
        };
        let Walker {
            grounded,
            crouched,
            gliding,
            when,
            ..
        } = self.walker;
        let state = WalkState {
            position: DVec3::from_array(entity.position()),
            velocity: DVec3::from_array(entity.velocity()),
            grounded: flag(Some(grounded), false),
            crouched: flag(crouched, false),
            gliding: flag(gliding, false),
        };
        (state, flag(when, true))
    }

    /// Walks by a command, as the server will in its tick. One for a tick that had a command takes
    /// its place and that of all after it.
    pub fn handle_command(&mut self, command: &Command) {
        self.offset *= KEEP;
        if self.offset.length_squared() < SEEN_MIN_M * SEEN_MIN_M {
            self.offset = DVec3::ZERO;
        }
        let Some((from, _)) = self.base else { return };
        if from.is_newer_than(command.tick) {
            return; // the server is past it
        }
        let Ok(command) = command.validate() else {
            return;
        };
        let mut input = WalkInput::from(&command);
        input.buttons = self.walker.obeyed(input.buttons);
        while self
            .steps
            .back()
            .is_some_and(|step| !command.tick.is_newer_than(step.tick))
        {
            self.steps.pop_back();
        }
        // The server keeps to the wish before where it has no command.
        let mut next = self.steps.back().map_or(from, |step| step.tick.next());
        if command.tick.wrapping_sub(next) > FILL_TICKS_MAX {
            self.reset();
            return;
        }
        let held = self.steps.back().map_or(input, |step| step.input);
        while command.tick.is_newer_than(next) {
            self.step(next, held);
            next = next.next();
        }
        self.step(command.tick, input);
    }

    fn step(&mut self, tick: Tick, input: WalkInput) {
        let Some(before) = self.state() else { return };
        if self.steps.len() == STEPS_MAX {
            let oldest = self.steps.pop_front();
            self.base = oldest.map(|step| (step.tick.next(), step.after));
        }
        let after = self.walk(&before, &input);
        self.steps.push_back(Step { tick, input, after });
    }

    fn walk(&self, before: &WalkState, input: &WalkInput) -> WalkState {
        let rules = &self.walker.rules;
        self.world.walk(rules, before, input, self.dt).state
    }

    /// Takes the server's state at the start of `tick`. Returns how far the prediction for that
    /// tick was from it, metres, rounding on the wire included; `None` where there was no
    /// prediction, or the rules put the player somewhere else.
    ///
    /// Where it doesn't walk (`walks`), nothing is predicted until it does.
    pub fn handle_state(&mut self, tick: Tick, server: WalkState, walks: bool) -> Option<f64> {
        if self.base.is_some_and(|(from, _)| from.is_newer_than(tick)) {
            return None;
        }
        if !walks {
            self.reset();
            return None;
        }
        let predicted = self.forget_before(tick);
        let present = self.state();
        let error = predicted.map(|predicted| predicted.position.distance(server.position));
        if let Some(predicted) = predicted.filter(|predicted| self.agrees(predicted, &server)) {
            // The prediction is more exact than the wire.
            self.base = Some((tick, predicted));
            return error;
        }
        self.base = Some((tick, server));
        let mut before = server;
        for at in 0..self.steps.len() {
            before = self.walk(&before, &self.steps[at].input);
            self.steps[at].after = before;
        }
        let leapt = error.is_some_and(|error| error > LEAP_M);
        self.leaps += u64::from(leapt);
        self.offset = match present {
            Some(present) if !leapt => self.offset + present.position - before.position,
            _ => DVec3::ZERO,
        };
        error.filter(|_| !leapt)
    }

    /// Drops the steps whose ticks are before `tick`; returns what was predicted for its start.
    fn forget_before(&mut self, tick: Tick) -> Option<WalkState> {
        let base = self.base.filter(|(from, _)| *from == tick);
        let mut predicted = base.map(|(_, state)| state);
        while let Some(step) = self
            .steps
            .front()
            .filter(|step| tick.is_newer_than(step.tick))
        {
            predicted = (step.tick.next() == tick).then_some(step.after);
            self.steps.pop_front();
        }
        predicted
    }

    /// Whether the server's word is this, but for rounding.
    fn agrees(&self, predicted: &WalkState, server: &WalkState) -> bool {
        let flags = |state: &WalkState| (state.grounded, state.crouched, state.gliding);
        let near = |a: DVec3, b: DVec3, rounding: f64| (a - b).abs().max_element() <= rounding;
        flags(predicted) == flags(server)
            && near(predicted.position, server.position, self.position_rounding)
            && near(predicted.velocity, server.velocity, self.velocity_rounding)
    }

    /// Forgets everything, for another player or another place.
    pub fn reset(&mut self) {
        self.base = None;
        self.steps.clear();
        self.offset = DVec3::ZERO;
    }

    /// The player after the newest command; `None` while nothing is predicted.
    pub fn state(&self) -> Option<WalkState> {
        let newest = self.steps.back().map(|step| step.after);
        newest.or(self.base.map(|(_, state)| state))
    }

    /// Where to show the player, metres.
    pub fn position(&self) -> Option<DVec3> {
        Some(self.state()?.position + self.offset)
    }

    /// Commands that the server hasn't been heard to have consumed.
    pub fn pending(&self) -> usize {
        self.steps.len()
    }

    /// How often the player was put so far away that it can't have walked there.
    pub fn leaps(&self) -> u64 {
        self.leaps
    }
}
