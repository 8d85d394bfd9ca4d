mod common;
use common::Mode;

#[test]
fn smoke() {
    let mode = Mode::new(
        r#"
        class Thing(Entity):
            health: f32 = field(100.0)
            name: str = field("x", max=8)
            brain: object = field(None)
            n: u8 = field(1)
            def tick(self, dt):
                self.health -= 1.25
                self.n += 1
                if self.brain is None: self.brain = [1]
                else: self.brain.append(len(self.near(50.0)))
                self.position = self.position + Vec3(1,0,0)
        def start(world):
            for i in range(3):
                world.spawn(Thing, position=Vec3(i, 0, 0), name=f"t{i}")
    "#,
    );
    let mut zone = mode.zone();
    zone.run_start();
    for _ in 0..10 {
        zone.step();
    }
    println!(
        "{} {} {} {}",
        zone.field(2, "health"),
        zone.field(2, "name"),
        zone.field(3, "position"),
        zone.field(1, "brain")
    );
    println!("{:?}", zone.scripts.stats());
}
