//! `raycast(..., rewind=ticks)`: shots at where others were.

mod common;

use common::Mode;
use tessera_protocol::command::Command;
use tessera_protocol::ids::EntityId;

/// A target that goes one metre along x a tick from x = 100, and a shooter whose `check` runs in each.
fn range(check: &str) -> Mode {
    Mode::new(&format!(
        "
class Target(Entity):
    hitbox = Capsule(radius=0.4, height=2.0, when='alive')
    alive: bool = field(True)
    def tick(self, dt):
        self.position = self.position + Vec3(1.0, 0.0, 0.0)
        self.alive = tick() < 30
class Shooter(Entity):
    rewind: f64 = field(0.0)
    def command(self, cmd):
        self.rewind = cmd.rewind
    def at(self, x, rewind):
        return raycast(Vec3(x, 1.0, 50.0), Vec3(0.0, 0.0, -1.0), 90.0, hit=Target, rewind=rewind)
    def tick(self, dt):
        now = tick()
{check}
def start(world):
    world.spawn(Target, position=Vec3(100.0, 0.0, 0.0))
    world.spawn(Shooter, position=Vec3(100.0, 0.0, 50.0))
"
    ))
}

fn run(check: &str, ticks: usize) {
    let mode = range(check);
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..ticks {
        zone.step();
    }
    zone.assert_clean();
}

#[test]
fn a_ray_meets_the_past_and_says_where_it_was() {
    run(
        "
        for rewind in (0.0, 0.25, 1.0, 7.5, 16.0):
            x = 100.0 + max(0.0, now - rewind)
            hit = self.at(x, rewind)
            assert hit is not None and hit.entity == 1, (now, rewind)
            assert abs(hit.base.x - x) < 1e-9 and hit.base.y == 0.0, hit
            assert self.at(x + 1.0, rewind) is None
",
        30,
    );
}

#[test]
fn the_dead_of_today_are_not_hit_yesterday() {
    // It has been dead since the state of tick 31.
    run(
        "
        if now >= 30:
            assert (self.at(130.0, now - 30.0) is not None) == (now == 30), now
",
        40,
    );
}

#[test]
fn who_was_not_there_then_is_not_hit() {
    let mode = Mode::new(
        "
        class Target(Entity):
            hitbox = Capsule(radius=0.4, height=2.0)
        class Shooter(Entity):
            seen: u32 = field(0)
            def tick(self, dt):
                if tick() == 20:
                    self.spawn(Target, position=Vec3(100.0, 0.0, 0.0))
                born, eye = 21, Vec3(100.0, 1.0, 50.0)
                for rewind in (0.0, 0.5, 3.0, 3.5):
                    hit = raycast(eye, Vec3(0, 0, -1), 90.0, hit=Target, rewind=rewind)
                    assert (hit is not None) == (tick() - rewind >= born), (tick(), rewind)
                    self.seen += hit is not None
        def start(world):
            world.spawn(Shooter, position=Vec3(100.0, 0.0, 50.0))
        ",
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..30 {
        zone.step();
    }
    zone.assert_clean();
    assert_ne!(zone.field(1, "seen"), "U32(0)");
}

#[test]
fn a_command_says_how_far_back_and_never_more_than_250_ms() {
    let mode = range("        pass");
    let mut zone = mode.zone();
    zone.run_start();
    for (view, expect) in [(0, "F64(0.0)"), (640, "F64(2.5)"), (u16::MAX, "F64(16.0)")] {
        let command = Command {
            view,
            ..Command::default()
        };
        let shooter = [(EntityId(2), command)];
        zone.step_with(&shooter);
        zone.assert_clean();
        assert_eq!(zone.field(2, "rewind"), expect);
    }
}

#[test]
fn wrong_rewinds_are_refused() {
    for (rewind, expect) in [
        (
            "-1.0",
            "raycast: rewind must be a finite number of at least 0",
        ),
        (
            "'x'",
            "raycast: rewind must be a finite number of at least 0",
        ),
        (
            "16.5",
            "raycast: a rewind of 16.5 ticks is too far back: at most 16, which is 250 ms",
        ),
    ] {
        let mode = range(&format!("        self.at(0.0, {rewind})"));
        let mut zone = mode.zone();
        zone.run_start();
        zone.step();
        assert!(zone.errors()[0].contains(expect), "{:?}", zone.errors());
    }
}
