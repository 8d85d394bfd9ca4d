//! The real binary: what scripts do to it, and new code for a running match.

mod common;

use common::client::{Client, watching};
use common::folder::Folder;
use common::server::{Server, Signal, tessera};
use tessera_protocol::{CloseReason, EntityId, ValueRef, Watch};

/// A mode whose clients' players do harm: it does what the button of its client says.
const HARM: &str = r#"
import re
from tessera import Command, Entity, Match, field, u32

class Player(Entity):
    ticks: u32 = field(0)
    def command(self, cmd: Command) -> None:
        if cmd.buttons == 1:
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        if cmd.buttons == 2:
            re.match(r"(a+)+$", "a" * 27 + "b")
    def tick(self, dt: float) -> None:
        self.ticks += 1

class Game(Match):
    def on_join(self, sender: int, client: int, name: str) -> None:
        self.spawn(Player, owner=client)

def start(world) -> None:
    world.spawn(Game)
"#;

/// A server of a mode of one file, which is in the folder.
fn serve(name: &str, code: &str, more: &[&str]) -> (Server, Folder) {
    let folder = Folder::new(name);
    folder.write(FILE, code);
    let mode = folder.path("harm");
    let args = [&["--mode", &mode, "--zones", "2"], more].concat();
    (Server::start(&args), folder)
}

const FILE: &str = "harm/__init__.py";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_loop_and_a_regex_end_neither_the_match_nor_another_client() {
    let (server, _folder) = serve("harm", HARM, &[]);
    let mut ada = Client::join(server.listen, "Ada").await;
    let mut eve = Client::join(server.listen, "Eve").await;
    ada.until_obeyed().await;
    eve.until_obeyed().await;
    eve.wish.buttons = 1;
    let supervised = |what: &str| server.report()["supervision"][what].clone();
    eve.until("a preempted hook", |_| supervised("preemptions") != 0)
        .await;
    ada.until_obeyed().await;
    // Her player rests for a second, and obeys again.
    eve.wish.buttons = 2;
    let stuck = |_: &Client| supervised("restarts")["stuck"] != 0;
    eve.until("a zone that is replaced", stuck).await;
    eve.wish.buttons = 0;
    ada.until_obeyed().await;
    eve.until_obeyed().await;
    assert_eq!(
        (supervised("lost"), supervised("doubled")),
        (0.into(), 0.into())
    );
    let (_, page) = server.ask("GET", "/metrics");
    assert!(page.contains(r#"tessera_zone_restarts_total{zone="0",reason="stuck"}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_was_stuck_leaves_no_thread_behind() {
    let (server, _folder) = serve("stuck", HARM, &["--isolation", "process"]);
    let mut eve = Client::join(server.listen, "Eve").await;
    eve.until_obeyed().await;
    let restarts = || server.report()["supervision"]["restarts"]["stuck"].as_u64();
    for _ in 0..3 {
        let before = restarts();
        eve.wish.buttons = 2;
        eve.until("a zone that is replaced", |_| restarts() > before)
            .await;
        eve.wish.buttons = 0;
        eve.until_obeyed().await;
    }
    let (_, page) = server.ask("GET", "/metrics");
    let forks = page
        .lines()
        .find_map(|line| line.strip_prefix(r#"tessera_zone_processes_total{start="fork"} "#));
    let forks: u32 = forks.and_then(|count| count.parse().ok()).expect("forks");
    assert!(
        forks >= 6,
        "two zones, a spare and three replacements: {page}"
    );
    assert!(page.contains("tessera_fork_servers_lost_total 0"), "{page}");
    // Each of two zones has a thread in the server, and so has the spare.
    eve.until("the end of the others", |_| server.threads("zone-") == 3)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_zone_that_fails_too_often_ends_the_match_where_that_is_asked_for() {
    let folder = Folder::new("drain");
    folder.write(FILE, HARM);
    let supervision = "[supervision]\non_exhausted = \"drain\"\nrestart_intensity = 1\n";
    let file = folder.write("server.toml", supervision);
    let mode = folder.path("harm");
    let server = Server::start(&["--config", &file, "--mode", &mode, "--zones", "2"]);
    let mut ada = Client::join(server.listen, "Ada").await;
    let mut eve = Client::join(server.listen, "Eve").await;
    eve.until_obeyed().await;
    // Her player rests after each, so this is a restart a second.
    eve.wish.buttons = 2;
    let (close, hers) = tokio::join!(ada.until_closed(), eve.until_closed());
    for close in [close, hers] {
        assert_eq!(close.reason, CloseReason::Draining);
        let told = "the scripts of a zone failed too often";
        assert!(close.text.contains(told), "{}", close.text);
    }
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the server drains"), "{said}");
    assert!(!said.contains("coast"), "{said}");
    let reason = "had to be restarted more often than supervision.restart_intensity allows";
    let error = said.lines().find(|line| line.starts_with("error: zone "));
    assert!(error.is_some_and(|line| line.contains(reason)), "{said}");
}

/// A mode of whose memory each zone has 48 MiB more than others.
const LARGE: &str = r#"
from tessera import Match

BALLAST = b"x" * (48 << 20)

class Game(Match):
    pass

def start(world) -> None:
    world.spawn(Game)
"#;

#[test]
fn the_memory_of_zones_in_processes_is_the_servers() {
    let (server, _folder) = serve("large", LARGE, &["--isolation", "process"]);
    let told = server.report()["server"]["rss_mib_max"].as_f64();
    assert!(told.is_some_and(|mib| mib > 96.0), "{told:?} MiB");
    let (_, page) = server.ask("GET", "/metrics");
    let resident = page
        .lines()
        .find_map(|line| line.strip_prefix("tessera_process_resident_memory_bytes "));
    let resident: f64 = resident.and_then(|bytes| bytes.parse().ok()).expect(&page);
    assert!(resident > f64::from(96 << 20), "{resident} bytes");
    server.signal(Signal::TERM);
    let (_, said) = server.wait();
    let most = said.split(" MiB at most").next().and_then(|before| {
        let most = before.rsplit(' ').next()?;
        most.parse::<f64>().ok()
    });
    assert!(most.is_some_and(|mib| mib > 96.0), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn new_code_runs_when_it_fits_and_a_mistake_leaves_the_match_alone() {
    let (server, folder) = serve("fits", HARM, &[]);
    let mut ada = Client::join(server.listen, "Ada").await;
    ada.until_obeyed().await;
    let url = format!("http://{}", server.ops);
    let reload = || tessera(&["reload", "--server", &url]);

    folder.write(FILE, &HARM.replace("ticks += 1", "ticks +="));
    let refused = reload();
    let says = refused.stderr;
    assert!(!refused.success, "{says}");
    assert!(
        says.contains("harm/__init__.py") && says.contains("SyntaxError"),
        "{says}"
    );

    folder.write(FILE, &HARM.replace("ticks: u32", "other: u32"));
    let says = reload().stderr;
    assert!(
        says.contains("Player.ticks is not declared any more"),
        "{says}"
    );
    ada.until_obeyed().await;

    let mut watcher = Client::connect(server.listen, watching(Watch::Anyone)).await;
    let sees = |client: &Client| client.session.seen_through() != EntityId::NONE;
    ada.beside(watcher.until("Ada's surroundings", sees)).await;
    let more = "    secret: u32 = field(5, to=NOBODY)\n    shown: u32 = field(9)\n    ticks: u32 = field(0)\n";
    let code = HARM
        .replace("    ticks: u32 = field(0)\n", more)
        .replace("import Command", "import NOBODY, Command");
    folder.write(FILE, &code);
    let told = reload();
    assert!(told.success, "{}", told.stderr);
    for new in ["Player.secret is new", "Player.shown is new"] {
        assert!(told.stdout.contains(new), "{}", told.stdout);
    }
    // Who was there before sees the new field, who comes later does, and who watches, some seconds later.
    ada.until("the new field", |ada| shown(ada, "shown")).await;
    let mut bob = Client::join(server.listen, "Bob").await;
    bob.until("the new field", |bob| shown(bob, "shown")).await;
    let late = watcher.until("the new field", |watcher| shown(watcher, "shown"));
    ada.beside(late).await;
    ada.until_obeyed().await;
    let told = server.report();
    assert!(told["wire"]["full_snapshots"]["declared"] != 0, "{told}");
    assert_eq!(
        told["supervision"]["restarts"]["reload"], 2,
        "each zone once: {told}"
    );
    assert_eq!(told["counters"]["hook_errors"], 0, "{told}");
}

/// Whether a client sees such a field, with its default, of the player that it plays or watches.
fn shown(client: &Client, name: &str) -> bool {
    let world = client.session.world().expect("it is in the match");
    let player = world.get(client.session.seen_through());
    let value = player.and_then(|player| {
        let kind = &world.field_table().kinds[player.kind().index()];
        player.field(kind.field(name)?)
    });
    value == Some(ValueRef::U32(9))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_developing_changed_files_are_loaded_by_themselves() {
    let (server, folder) = serve("watched", HARM, &["--reload"]);
    let mut ada = Client::join(server.listen, "Ada").await;
    ada.until_obeyed().await;
    folder.write(FILE, &HARM.replace("ticks += 1", "ticks += 2"));
    let reloaded = |_: &Client| server.report()["supervision"]["restarts"]["reload"] == 2;
    ada.until("the new code", reloaded).await;
    ada.until_obeyed().await;
}
