//! The real binary's other commands, and what it says to bad input.

mod common;

use std::net::{TcpListener, UdpSocket};

use common::folder::Folder;
use common::server::{Done, tessera, tessera_with};
use serde_json::Value;

#[track_caller]
fn refused(done: &Done, says: &[&str]) {
    assert!(!done.success, "it went well: {}", done.stdout);
    for part in says {
        assert!(
            done.stderr.contains(part),
            "{part:?} is not in: {}",
            done.stderr
        );
    }
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
}

#[test]
fn simulating_gives_one_state_however_the_map_is_cut() {
    let simulate = |more: &[&str]| -> Value {
        let args = [
            "simulate",
            "--players",
            "12",
            "--ticks",
            "150",
            "--seed",
            "7",
            "--json",
        ];
        let done = tessera(&[&args[..], more].concat());
        assert!(done.success, "{}", done.stderr);
        serde_json::from_str(&done.stdout).expect("one JSON object")
    };
    let one = simulate(&["--zones", "1"]);
    let mut keys: Vec<_> = one
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    keys.sort_unstable();
    let expected = "alive exchange_us gather_us handoffs hook_errors memory_denied messages players restarts \
                    script_us seed snapshot_us state_hash tick_us ticks zones zones_us";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(
        (&one["ticks"], &one["zones"], &one["players"]),
        (&150.into(), &1.into(), &12.into())
    );
    let p = one["tick_us"].as_object().expect("percentiles");
    assert_eq!(p.keys().map(String::as_str).collect::<Vec<_>>().len(), 6);
    for cut in [
        &["--zones", "4"][..],
        &["--cuts-x", "300,500", "--cuts-z", "450"],
        &["--grid", "1x3"],
    ] {
        let other = simulate(cut);
        assert_eq!(other["state_hash"], one["state_hash"], "{cut:?}");
        assert_eq!(other["alive"], one["alive"], "{cut:?}");
        assert_eq!(other["messages"], one["messages"], "{cut:?}");
    }
    let other_seed = simulate(&["--zones", "1", "--seed", "8"]);
    assert_ne!(other_seed["state_hash"], one["state_hash"]);
}

#[test]
fn what_the_environment_wants_logged_has_to_be_a_filter() {
    let done = tessera_with(&[("RUST_LOG", "inof")], &["check", "minimal"]);
    refused(&done, &["RUST_LOG", "`inof` is no level", "info"]);
    let done = tessera_with(&[("RUST_LOG", "")], &["check", "minimal"]);
    assert!(done.success, "{}", done.stderr);
}

#[test]
fn checking_a_mode_shows_what_it_declares() {
    let done = tessera(&["check", "minimal"]);
    assert!(done.success, "{}", done.stderr);
    assert!(
        done.stdout.starts_with("minimal: 2 kinds"),
        "{}",
        done.stdout
    );
    let name = done
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with("name "));
    let words: Vec<_> = name
        .expect("a line for `name`")
        .split_whitespace()
        .collect();
    assert_eq!(words[..2], ["name", "str,"]);
}

#[test]
fn checking_goes_by_the_configuration() {
    let folder = Folder::new("packages");
    folder.write("packages/loot.py", "GOLD = 3\n");
    let mode = "import tessera\nfrom loot import GOLD\n\nclass Game(tessera.Match): pass\n\n\
                def start(world): world.spawn(Game)\n";
    folder.write("hunt/__init__.py", mode);
    let (mode, packages) = (folder.path("hunt"), folder.path("packages"));
    let zones = format!("[zones]\nisolation = \"process\"\npackages = [\"{packages}\"]\n");
    let config = folder.write("server.toml", &zones);
    let done = tessera(&["check", &mode, "--config", &config]);
    assert!(done.success, "{}", done.stderr);
    assert!(done.stdout.contains("1 kind"), "{}", done.stdout);
    for more in [&[][..], &["--config", &config, "--isolation", "thread"]] {
        let done = tessera(&[&["check", &mode], more].concat());
        refused(&done, &["hunt/__init__.py:2: ", "No module named 'loot'"]);
    }
}

#[test]
fn checking_a_broken_mode_names_file_and_line() {
    let folder = Folder::new("broken");
    let match_class = "import tessera\n\nclass Game(tessera.Match):";
    for (mode, text, place, says) in [
        (
            "syntax",
            "import tessera\n\nclass Player(\n",
            "__init__.py:3: ",
            "never closed",
        ),
        (
            "name",
            "import tessera\n\nx = undefined_thing\n",
            "__init__.py:3: ",
            "undefined_thing",
        ),
        (
            "hook",
            &format!("{match_class}\n    def tick(self): pass\n"),
            "__init__.py:4: ",
            "Game.tick can't be called as the engine calls it: write def tick(self, dt)",
        ),
        (
            "empty",
            &format!("{match_class} pass\n"),
            "__init__.py: ",
            "the mode has no function start(world)",
        ),
    ] {
        folder.write(&format!("{mode}/__init__.py"), text);
        let path = folder.path(mode);
        let done = tessera(&["check", &path]);
        let place = format!("{mode}/{place}");
        refused(&done, &[&place, says]);
        refused(
            &tessera(&[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--ops",
                "off",
                "--mode",
                &path,
            ]),
            &[&place],
        );
    }
}

#[test]
fn a_mistake_in_the_configuration_names_file_line_and_key() {
    let folder = Folder::new("config");
    for (text, line, says) in [
        ("[match]\nseeed = 3\n", 2, "unknown field `seeed`"),
        (
            "[match]\n\ntick_hz = 1000\n",
            3,
            "match.tick_hz = 1000 is out of range: it can be 10 to 128",
        ),
    ] {
        let file = folder.write("server.toml", text);
        refused(
            &tessera(&["--config", &file]),
            &[&format!("{file}:{line}: "), says],
        );
    }
    refused(
        &tessera(&["--config", "nowhere.toml"]),
        &[
            "nowhere.toml (--config)",
            "No such file",
            "assets/tessera.toml",
        ],
    );
    let cuts = "[zones]\ncuts_x = [300.0]\ncuts_z = [5000.0]\n";
    for (text, line, says) in [
        (
            "[match]\nmap = \"atlantis\"\n",
            2,
            "match.map: there is no map `atlantis`",
        ),
        (
            "[match]\n\nmode = \"chess\"\n",
            3,
            "match.mode: there is no mode `chess`",
        ),
        (
            cuts,
            3,
            "zones.cuts_z: a border at 5000 m along z (--cuts-z) is not on the map",
        ),
    ] {
        let file = folder.write("server.toml", text);
        let args = ["--config", &file, "--listen", "127.0.0.1:0", "--ops", "off"];
        refused(&tessera(&args), &[&format!("{file}:{line}: "), says]);
    }
    // What a flag says is no mistake of the file's.
    let file = folder.write("server.toml", "[match]\nmap = \"island\"\n");
    let done = tessera(&["--config", &file, "--map", "atlantis"]);
    refused(&done, &["no map `atlantis`"]);
    assert!(!done.stderr.contains("server.toml"), "{}", done.stderr);
    refused(
        &tessera(&["--map", "atlantis"]),
        &["no map `atlantis`", "Present: island"],
    );
    refused(
        &tessera(&["--mode", "chess"]),
        &["no mode `chess`", "royale"],
    );
    refused(&tessera(&["--tick-hz", "1000"]), &["10 to 128"]);
    refused(
        &tessera(&[
            "--cuts-x",
            "300,5000",
            "--listen",
            "127.0.0.1:0",
            "--ops",
            "off",
        ]),
        &["--cuts-x", "a border at 5000 m", "0 to "],
    );
}

#[test]
fn a_busy_port_says_so_and_what_to_do() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = udp.local_addr().expect("an address").to_string();
    let done = tessera(&["--listen", &address, "--ops", "off"]);
    refused(&done, &[&address, "UDP", "in use", "--listen"]);

    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("an address").to_string();
    let done = tessera(&["--listen", "127.0.0.1:0", "--ops", &address]);
    refused(&done, &[&address, "TCP", "in use", "--ops"]);
}

#[test]
fn a_key_is_made_once_and_signs_tokens() {
    let folder = Folder::new("key");
    let key = folder.path("match.key");
    let done = tessera(&["token", "--new-key", &key]);
    assert!(done.success, "{}", done.stderr);
    assert_eq!(done.stdout, "", "the key is in the file only");
    refused(
        &tessera(&["token", "--new-key", &key]),
        &[&key, "exists already", "remove it first"],
    );

    let mint = |name: &str, more: &[&str]| {
        let args = ["token", "--key-file", &key, "--match", "m", "--name", name];
        tessera(&[&args[..], more].concat())
    };
    let (one, two) = (mint("Ada", &[]), mint("Ada", &["--expires-in", "60"]));
    assert!(one.success, "{}", one.stderr);
    assert!(one.stdout.trim().len() > 100 && one.stdout.trim() != two.stdout.trim());
    refused(&mint("", &[]), &["a name has 1 to 24 bytes, not 0"]);
    refused(&mint("Ada", &["--expires-in", "0"]), &["1 to 86400"]);
    refused(
        &tessera(&["token", "--match", "m"]),
        &["--key-file", "--name"],
    );
}

#[test]
fn a_key_that_is_none_or_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("keys");
    let key = folder.path("match.key");
    assert!(tessera(&["token", "--new-key", &key]).success);
    let config = |key: &str| {
        let tokens = format!("tokens = \"required\"\ntoken_key_file = \"{key}\"\nmatch_id = \"m\"");
        folder.write("server.toml", &format!("[net]\n{tokens}\n"))
    };
    let serve = |key: &str| {
        let file = config(key);
        tessera(&["--config", &file, "--listen", "127.0.0.1:0", "--ops", "off"])
    };
    refused(
        &serve("nowhere.key"),
        &[
            "server.toml:3: net.token_key_file: nowhere.key: No such file",
            "`tessera token --new-key nowhere.key` makes a key",
        ],
    );
    let other = folder.write("other.key", "let me in\n");
    let permit = |path: &str, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("it is ours");
    };
    permit(&other, 0o600);
    refused(
        &serve(&other),
        &[&other, "64 hexadecimal digits", "--new-key"],
    );
    permit(&key, 0o640);
    refused(&serve(&key), &[&key, "640", "chmod 600"]);
}
