//! A map's files: what is wrong with them is said with the file, the line, the key and what is
//! permitted.

mod common;

use common::{SMALL_MAP, small_heights};
use tessera_world::World;

/// The message for the small map with `good` replaced by `bad`.
fn message(good: &str, bad: &str) -> String {
    assert!(SMALL_MAP.contains(good), "{good} is not in the map");
    let text = SMALL_MAP.replacen(good, bad, 1);
    World::parse(&text, &small_heights())
        .expect_err("it is spoiled")
        .to_string()
}

#[test]
fn a_good_map_is_taken_as_it_is() {
    let world = World::parse(SMALL_MAP, &small_heights()).expect("it is valid");
    assert_eq!((world.name(), world.size()), ("small", 32.0));
    // The plane rises by 0.5 m every 4 m from 0.
    assert!((world.ground(10.0, 3.0) - 1.25).abs() < 1e-6);
    assert!((world.spawn_points()[0].y - 1.25).abs() < 1e-6);
    assert_eq!(world.loot_points().len(), 2);
    assert_eq!(world.boxes().len(), 2);
}

#[test]
fn values_out_of_range_are_named() {
    let cases = [
        (
            "format = 1",
            "format = 2",
            "<map>:1: format must be 1, but is 2",
        ),
        (
            "\"small\"",
            "\"Small\"",
            "<map>:2: name must be 1 to 32 of the characters a-z, 0-9, _ and -, but is \"Small\"",
        ),
        (
            "size = 32.0",
            "size = 31.0",
            "<map>:3: size must be from 32 to 2048 m, but is 31.0",
        ),
        (
            "size = 32.0",
            "size = nan",
            "<map>:3: size must be from 32 to 2048 m, but is NaN",
        ),
        (
            "cell = 4.0",
            "cell = 0.5",
            "<map>:4: terrain.cell must be from 1 to 16 m, but is 0.5",
        ),
        (
            "cell = 4.0",
            "cell = 5.0",
            "<map>:4: terrain.cell must be a whole fraction of size (32), but is 5.0",
        ),
        (
            "base = -2.0",
            "base = inf",
            "<map>:4: terrain.base must be from -1000 to 1000 m, but is inf",
        ),
        (
            "step = 0.001",
            "step = 0.0",
            "<map>:4: terrain.step must be from 0.000001 to 0.05 m, but is 0.0",
        ),
        (
            "small.heights",
            "../small.heights",
            "<map>:4: terrain.heights must be the name of a file in the same folder, without a path, but is \"../small.heights\"",
        ),
        (
            "[10.0, 12.5]",
            "[10.0, nan]",
            "<map>:6: spawn_points[0] must be on the map, x and z from 0 to 32 m, but is [10.0, NaN]",
        ),
        (
            "[10.0, 12.5]",
            "[5.0, 5.8]",
            "<map>:6: spawn_points[0] must be free of boxes and 0.4 m off the map's borders, but is [5.0, 5.8]",
        ),
        (
            "[21.0, 8.0]",
            "[21.0, 31.7]",
            "<map>:8: loot_points[1] must be free of boxes and 0.4 m off the map's borders, but is [21.0, 31.7]",
        ),
        (
            "at = [5.0, 0.5, 5.0]",
            "at = [5.0, 0.5, -5.0]",
            "<map>:11: boxes[1].at must be on the map, x and z from 0 to 32 m, y from -1000 to 1000 m, but is [5.0, 0.5, -5.0]",
        ),
        (
            "at = [5.0, 0.5, 5.0]",
            "at = [5.0, 0.5, 0.25]",
            "<map>:11: boxes[1].at must be such that the whole box is on the map, x and z from 0 to 32 m, but is [5.0, 0.5, 0.25]",
        ),
        (
            "half = [0.5, 0.5, 0.5]",
            "half = [0.5, 0.0, 0.5]",
            "<map>:11: boxes[1].half must be from 0.01 to 100 m along each axis, but is [0.5, 0.0, 0.5]",
        ),
        (
            "yaw = 0.5",
            "yaw = nan",
            "<map>:10: boxes[0].yaw must be from -4 to 4 rad, but is NaN",
        ),
    ];
    for (good, bad, expect) in cases {
        assert_eq!(message(good, bad), expect);
    }
}

#[test]
fn keys_that_are_unknown_missing_or_of_another_type_are_named() {
    let cases = [
        (
            "format = 1",
            "format = 1\nweather = 3",
            "<map>:2:",
            "weather",
        ),
        ("cell = 4.0,", "", "<map>:4:", "cell"),
        ("yaw = 0.0", "yaw = 0.0, colour = 3", "<map>:11:", "colour"),
        ("kind = \"crate\"", "kind = \"pool\"", "<map>:11:", "pool"),
        ("size = 32.0", "size = \"big\"", "<map>:3:", "string"),
        ("[10.0, 12.5]", "[10.0]", "<map>:6:", "length"),
        ("boxes = [", "boxes = [[", "<map>:", ""),
    ];
    for (good, bad, place, word) in cases {
        let message = message(good, bad);
        assert!(
            message.starts_with(place) && message.contains(word),
            "{bad}: {message}"
        );
    }
}

#[test]
fn a_map_needs_a_place_to_start() {
    let message = message("  [10.0, 12.5],\n", "");
    assert_eq!(
        message,
        "<map>:5: the length of spawn_points must be from 1 to 10000, but is 0"
    );
}

#[test]
fn heights_must_fit_the_map() {
    let error = |heights: &[u8]| {
        World::parse(SMALL_MAP, heights)
            .expect_err("spoiled heights")
            .to_string()
    };
    let good = small_heights();
    assert_eq!(
        error(b"TSH"),
        "small.heights: must begin with a header of 12 bytes, but has 3 bytes"
    );
    assert_eq!(
        error(b"HEIGHTSTxxxxyy"),
        "small.heights: must begin with TSHEIGHT: it is no file of heights"
    );
    assert_eq!(
        error(&good[..100]),
        "small.heights: must have 162 bytes of samples after the header, but has 88"
    );
    let mut wide = good.clone();
    wide[8] = 8;
    assert_eq!(
        error(&wide),
        "small.heights: must have 9 samples along each side (size / terrain.cell + 1), but has 8"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = World::load("no/such/map.toml")
        .expect_err("there is none")
        .to_string();
    assert!(
        error.starts_with("no/such/map.toml: cannot be read: "),
        "{error}"
    );
}

#[test]
fn heights_that_are_not_there_are_named_with_the_line_that_asks_for_them() {
    let folder = std::env::temp_dir().join(format!("tessera-heights-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let map = folder.join("small.toml");
    std::fs::write(&map, SMALL_MAP).expect("a file");
    let error = World::load(&map).expect_err("no heights").to_string();
    std::fs::remove_dir_all(&folder).expect("it was made");
    let begin = format!("{}:4: terrain.heights names ", map.display());
    assert!(error.starts_with(&begin), "{error}");
    let heights = folder.join("small.heights").display().to_string();
    for part in [&heights, "cannot be read: No such file", "put it there"] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn the_hash_is_of_the_content() {
    let hash =
        |text: &str, heights: &[u8]| World::parse(text, heights).expect("it is valid").hash();
    let (text, heights) = (SMALL_MAP.to_string(), small_heights());
    let known = hash(&text, &heights);
    assert_eq!(known, hash(&format!("# a comment\n{text}"), &heights));
    assert_ne!(
        known,
        hash(&text.replace("yaw = 0.5", "yaw = 0.6"), &heights)
    );
    assert_ne!(
        known,
        hash(&text.replace("\"crate\"", "\"rock\""), &heights)
    );
    assert_ne!(
        known,
        hash(&text.replace("[20.0, 20.0]", "[20.0, 20.5]"), &heights)
    );
    let mut raised = heights.clone();
    raised[50] ^= 1;
    assert_ne!(known, hash(&text, &raised));
}

#[test]
fn a_prepared_map_is_the_map() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/maps/island.toml");
    let world = World::load(path).expect("the island");
    let prepared = world.prepared();
    for bytes in [&prepared[..], &prepared[1..], &[]] {
        let again = World::load_prepared(path, bytes).expect("the island");
        assert_eq!(again.hash(), world.hash());
        assert_eq!(again.prepared(), prepared);
        let ends = world.loot_points();
        for pair in ends.windows(2).step_by(16) {
            let way = again.path(pair[0], pair[1], 20_000);
            assert_eq!(way, world.path(pair[0], pair[1], 20_000));
        }
    }
}
