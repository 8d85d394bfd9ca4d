use super::*;

#[track_caller]
fn refused(text: &str, line: usize, says: &[&str]) {
    let error = Config::parse(Path::new("tessera.toml"), text)
        .unwrap_err()
        .to_string();
    let place = format!("tessera.toml:{line}: ");
    assert!(error.starts_with(&place), "{error}");
    for part in says {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn errors_name_line_key_and_range() {
    refused(
        "\n[match]\nmodus = 1",
        3,
        &["unknown field `modus`", "`mode`"],
    );
    refused("[macth]\n", 1, &["unknown field `macth`", "`match`"]);
    refused(
        "[match]\ntick_hz = 500",
        2,
        &["match.tick_hz = 500", "10 to 128"],
    );
    refused(
        "[match]\nplayers = -1",
        2,
        &["match.players = -1", "1 to 500"],
    );
    refused(
        "[match]\nseed = \"x\"",
        2,
        &["invalid type", "seed = \"x\""],
    );
    refused("[match]\nseed = ", 2, &["seed ="]);
    refused(
        "[match.options]\nbots = [1]",
        2,
        &["match.options.bots", "array"],
    );
    refused("[zones]\ncount = 0", 2, &["zones.count", "1 to 64"]);
    refused("[zones]\ngrid = \"2by2\"", 2, &["zones.grid", "2by2"]);
    refused("[zones]\ncount = 4\ngrid = \"2x2\"", 3, &["two ways"]);
    refused("[zones]\ncuts_x = [5.0, 5.0]", 2, &["cuts_x", "ascending"]);
    refused("[zones]\nhalo_m = nan", 2, &["zones.halo_m", "10 to 500"]);
    refused(
        "[zones]\nisolation = \"jail\"",
        2,
        &["zones.isolation = \"jail\"", "\"process\""],
    );
    refused(
        "[zones]\npackages = [\"venv\"]",
        2,
        &["zones.packages", "zones.isolation = \"process\""],
    );
    refused(
        "[zones]\nisolation = \"process\"\npackages = [\n  \"/\",\n  \"/no/such\",\n]",
        5,
        &["zones.packages: there is no folder /no/such"],
    );
    refused(
        "[supervision]\nmemory_mib = 1",
        2,
        &["supervision.memory_mib = 1", "32 to 65536"],
    );
    refused(
        "[supervision]\nsoft_budget_percent = 70",
        2,
        &[
            "soft_budget_percent = 70 is above",
            "hard_budget_percent = 65",
        ],
    );
    refused(
        "[supervision]\non_exhausted = \"stop\"",
        2,
        &["supervision.on_exhausted = \"stop\"", "\"drain\""],
    );
    refused(
        "[net]\nlisten = \"here\"",
        2,
        &["net.listen", "127.0.0.1:7777"],
    );
    refused(
        "[net]\nworker_threads = 0",
        2,
        &["net.worker_threads = 0", "1 to 64"],
    );
    refused(
        "[net]\nreconnect_grace_s = 301",
        2,
        &["net.reconnect_grace_s = 301", "0 to 300"],
    );
    refused(
        "[net]\nspectators = 101",
        2,
        &["net.spectators = 101", "0 to 100"],
    );
    refused(
        "[net]\nspectator_delay_s = 31",
        2,
        &["net.spectator_delay_s = 31", "0 to 30"],
    );
    refused(
        "[net]\naddress_validation = \"on\"",
        2,
        &["net.address_validation = \"on\"", "\"under-load\""],
    );
    refused("[ops]\nlisten = \"7778\"", 2, &["ops.listen", "IP:PORT"]);
    refused("[log]\nfilter = \"info,=\"", 2, &["log.filter", "`info,=`"]);
    refused(
        "[log]\nfilter = \"debgu\"",
        2,
        &["log.filter", "`debgu` is no level: write off, error"],
    );
}

#[test]
fn tokens_are_required_with_a_key_and_a_match_or_not_at_all() {
    for (net, line, says) in [
        ("tokens = \"maybe\"", 2, "\"required\" or \"off\""),
        ("tokens = \"required\"", 2, "needs net.token_key_file"),
        (
            "tokens = \"required\"\ntoken_key_file = \"k\"",
            2,
            "needs net.match_id",
        ),
        (
            "tokens = \"required\"\ntoken_key_file = \"k\"\nmatch_id = \"\"",
            4,
            "1 to 64",
        ),
        ("token_key_file = \"k\"", 2, "do nothing without"),
        (
            "tokens = \"off\"\nmatch_id = \"m\"",
            3,
            "do nothing without",
        ),
    ] {
        refused(&format!("[net]\n{net}"), line, &[says]);
    }
    let text = "[net]\ntokens = \"required\"\ntoken_key_file = \"k\"\nmatch_id = \"m\"";
    let config = Config::parse(Path::new("t.toml"), text).unwrap();
    let access = Access::Tokens {
        key_file: "k".into(),
        match_id: "m".into(),
    };
    assert_eq!(config.access, access);
}

#[test]
fn options_keep_their_types() {
    let text = "[match.options]\na = true\nb = 3\nc = 0.5\nd = \"x\"";
    let config = Config::parse(Path::new("t.toml"), text).unwrap();
    let values: Vec<_> = config.options.into_values().collect();
    let expected = [
        OptionValue::Bool(true),
        OptionValue::Int(3),
        OptionValue::Float(0.5),
        OptionValue::Str("x".into()),
    ];
    assert_eq!(values, expected);
    assert_eq!(super::super::option_value("0.5"), OptionValue::Float(0.5));
    assert_eq!(super::super::option_value("-3"), OptionValue::Int(-3));
    assert_eq!(
        super::super::option_value("three"),
        OptionValue::Str("three".into())
    );
}

#[test]
fn the_file_that_is_shipped_says_what_is_built_in_and_documents_every_key() {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../assets/tessera.toml"
    ));
    let text = std::fs::read_to_string(path).unwrap();
    let mut config = Config::parse(path, &text).unwrap();
    config.places.clear();
    assert_eq!(config, Config::default());
    let keys = "mode map seed tick_hz players count grid cuts_x cuts_z halo_m isolation packages enabled \
                soft_budget_percent hard_budget_percent memory_mib load_timeout_s spares restart_intensity \
                restart_period_s on_exhausted quarantine_failures quarantine_rest_ms listen \
                worker_threads tokens token_key_file match_id reconnect_grace_s spectators \
                spectator_delay_s address_validation idle_timeout_s drain_timeout_s filter";
    let lines: Vec<_> = text.lines().collect();
    for key in keys.split_whitespace() {
        let is_key = |line: &&str| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{key} = "))
        };
        let at = lines.iter().position(is_key);
        let at = at.unwrap_or_else(|| panic!("{key} is not in {}", path.display()));
        let documented = lines[..at].last().is_some_and(|line| line.starts_with('#'));
        assert!(documented, "{key} has no comment in {}", path.display());
    }
}
