//! The map's files: `<name>.toml`, and beside it the heights that it names.
//!
//! ```toml
//! format = 1
//! name = "hill"
//! size = 64.0                          # metres; the map spans [0, size] on x and z
//! terrain = { heights = "hill.heights", cell = 4.0, base = -2.0, step = 0.01 }
//! spawn_points = [[10.0, 12.5]]        # x, z; they stand on the ground
//! loot_points = [[30.0, 31.5]]
//! boxes = [                            # middle, half extents, and turn about +y in radians
//!   { kind = "wall", at = [20.0, 1.5, 20.0], half = [4.0, 1.5, 0.15], yaw = 0.5 },
//! ]
//! ```
//!
//! The file of heights: the 8 bytes `TSHEIGHT`, the number n of samples along each side as a
//! little-endian u32, and n² little-endian u16, row by row with x running fastest; n is `size /
//! cell + 1`. A sample s stands for a height of `base + step · s` metres.

use std::path::{Path, PathBuf};

use glam::{DVec2, DVec3};
use serde::Deserialize;
use toml::Spanned;

use crate::boxes::{BoxKind, Solid};
use crate::error::MapError;
use crate::geometry::Geometry;
use crate::terrain::Terrain;

const FORMAT: i64 = 1;
const HEIGHTS_MAGIC: &[u8; 8] = b"TSHEIGHT";
const NAME_LEN_MAX: usize = 32;
const SIZE_M: (f64, f64) = (32.0, 2048.0);
const CELL_M: (f64, f64) = (1.0, 16.0);
const HEIGHT_M: (f64, f64) = (-1000.0, 1000.0);
const HALF_M: (f64, f64) = (0.01, 100.0);
const YAW: (f64, f64) = (-4.0, 4.0);
const BOXES_MAX: usize = 50_000;
const POINTS_MAX: usize = 10_000;

/// What must fit at a spawn or loot point: a player.
const POINT_RADIUS_M: f64 = 0.4;
const POINT_HEIGHT_M: f64 = 1.8;

/// A map as its files describe it, checked.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
    pub(crate) spawn_points: Vec<DVec3>,
    pub(crate) loot_points: Vec<DVec3>,
}

/// The TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    format: Spanned<i64>,
    name: Spanned<String>,
    size: Spanned<f64>,
    terrain: TerrainEntry,
    spawn_points: Spanned<Vec<Spanned<[f64; 2]>>>,
    loot_points: Spanned<Vec<Spanned<[f64; 2]>>>,
    boxes: Spanned<Vec<BoxEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TerrainEntry {
    heights: Spanned<String>,
    cell: Spanned<f64>,
    base: Spanned<f64>,
    step: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoxEntry {
    kind: BoxKind,
    at: Spanned<[f64; 3]>,
    half: Spanned<[f64; 3]>,
    yaw: Spanned<f64>,
}

/// The text of a map's file, to say where something is wrong.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Map {
    /// Reads a map and the heights beside it.
    pub(crate) fn load(path: &Path) -> Result<Map, MapError> {
        let text = std::fs::read_to_string(path).map_err(|source| MapError::Read {
            path: path.into(),
            source,
        })?;
        Map::parse(path, &text, |heights| std::fs::read(heights))
    }

    /// Checks the text of a map's file; `read` gives the content of the file of heights.
    pub(crate) fn parse(
        path: &Path,
        text: &str,
        read: impl FnOnce(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Map, MapError> {
        let source = Source { path, text };
        let file: MapFile = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        source.check_head(&file)?;
        let terrain = source.terrain(&file, read)?;
        let boxes = source.boxes(&file)?;
        let geometry = Geometry::new(terrain, boxes);
        let spawn_points = source.points("spawn_points", &file.spawn_points, &geometry)?;
        let loot_points = source.points("loot_points", &file.loot_points, &geometry)?;
        Ok(Map {
            name: file.name.into_inner(),
            geometry,
            spawn_points,
            loot_points,
        })
    }
}

impl Source<'_> {
    fn check_head(&self, file: &MapFile) -> Result<(), MapError> {
        if *file.format.get_ref() != FORMAT {
            return Err(self.value("format", &file.format, &FORMAT.to_string()));
        }
        let permitted =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let name = file.name.get_ref();
        if name.is_empty() || name.len() > NAME_LEN_MAX || !name.chars().all(permitted) {
            let rule = format!("1 to {NAME_LEN_MAX} of the characters a-z, 0-9, _ and -");
            return Err(self.value("name", &file.name, &rule));
        }
        self.number("size", &file.size, SIZE_M, "m")?;
        self.number("terrain.cell", &file.terrain.cell, CELL_M, "m")?;
        self.number("terrain.base", &file.terrain.base, HEIGHT_M, "m")?;
        self.number("terrain.step", &file.terrain.step, (1e-6, 0.05), "m")?;
        let cells = file.size.get_ref() / file.terrain.cell.get_ref();
        if cells != cells.floor() {
            let rule = format!("a whole fraction of size ({})", file.size.get_ref());
            return Err(self.value("terrain.cell", &file.terrain.cell, &rule));
        }
        let boxes = (file.boxes.get_ref().len(), 0, BOXES_MAX);
        let spawn_points = (file.spawn_points.get_ref().len(), 1, POINTS_MAX);
        let loot_points = (file.loot_points.get_ref().len(), 0, POINTS_MAX);
        self.count("boxes", &file.boxes, boxes)?;
        self.count("spawn_points", &file.spawn_points, spawn_points)?;
        self.count("loot_points", &file.loot_points, loot_points)
    }

    fn terrain(
        &self,
        file: &MapFile,
        read: impl FnOnce(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Terrain, MapError> {
        let entry = &file.terrain;
        let name = entry.heights.get_ref();
        if name.is_empty() || name.contains(['/', '\\']) || name == ".." {
            let rule = "the name of a file in the same folder, without a path";
            return Err(self.value("terrain.heights", &entry.heights, rule));
        }
        let cells = (file.size.get_ref() / entry.cell.get_ref()) as usize;
        let path = self.path.with_file_name(name);
        let bytes = read(&path).map_err(|source| MapError::HeightsRead {
            path: self.path.into(),
            line: self.line(entry.heights.span().start),
            heights: path.clone(),
            source,
        })?;
        let samples = decode_heights(&bytes, cells + 1)
            .map_err(|problem| MapError::Heights { path, problem })?;
        let (base, step) = (*entry.base.get_ref(), *entry.step.get_ref());
        let heights = samples
            .map(|sample| (base + step * f64::from(sample)) as f32)
            .collect();
        Ok(Terrain::new(cells, *entry.cell.get_ref(), heights))
    }

    fn boxes(&self, file: &MapFile) -> Result<Vec<Solid>, MapError> {
        let size = *file.size.get_ref();
        let mut boxes = Vec::with_capacity(file.boxes.get_ref().len());
        for (index, entry) in file.boxes.get_ref().iter().enumerate() {
            let key = |field: &str| format!("boxes[{index}].{field}");
            let [x, y, z] = *entry.at.get_ref();
            self.check(
                &key("at"),
                &entry.at,
                within(x, (0.0, size)) && within(y, HEIGHT_M) && within(z, (0.0, size)),
                || {
                    format!(
                        "on the map, x and z from 0 to {size} m, y from {} to {} m",
                        HEIGHT_M.0, HEIGHT_M.1
                    )
                },
            )?;
            let half = entry.half.get_ref();
            self.check(
                &key("half"),
                &entry.half,
                half.iter().all(|h| within(*h, HALF_M)),
                || format!("from {} to {} m along each axis", HALF_M.0, HALF_M.1),
            )?;
            self.number(&key("yaw"), &entry.yaw, YAW, "rad")?;
            let solid = Solid::new(
                entry.kind,
                DVec3::new(x, y, z),
                DVec3::from(*half),
                *entry.yaw.get_ref(),
            );
            let (low, high) = solid.footprint();
            self.check(
                &key("at"),
                &entry.at,
                low.min_element() >= 0.0 && high.max_element() <= size,
                || format!("such that the whole box is on the map, x and z from 0 to {size} m"),
            )?;
            boxes.push(solid);
        }
        Ok(boxes)
    }

    fn points(
        &self,
        key: &str,
        points: &Spanned<Vec<Spanned<[f64; 2]>>>,
        geometry: &Geometry,
    ) -> Result<Vec<DVec3>, MapError> {
        let size = geometry.terrain().size();
        let on_map = |c: f64| within(c, (0.0, size));
        let mut on_ground = Vec::with_capacity(points.get_ref().len());
        for (index, point) in points.get_ref().iter().enumerate() {
            let key = format!("{key}[{index}]");
            let at = DVec2::from(*point.get_ref());
            self.check(&key, point, on_map(at.x) && on_map(at.y), || {
                format!("on the map, x and z from 0 to {size} m")
            })?;
            let feet = DVec3::new(at.x, geometry.terrain().height(at.x, at.y), at.y);
            self.check(
                &key,
                point,
                geometry.is_free(feet, POINT_RADIUS_M, POINT_HEIGHT_M),
                || format!("free of boxes and {POINT_RADIUS_M} m off the map's borders"),
            )?;
            on_ground.push(feet);
        }
        Ok(on_ground)
    }

    fn number(
        &self,
        key: &str,
        value: &Spanned<f64>,
        range: (f64, f64),
        unit: &str,
    ) -> Result<(), MapError> {
        let permitted = || format!("from {} to {} {unit}", range.0, range.1);
        self.check(key, value, within(*value.get_ref(), range), permitted)
    }

    fn count<T>(
        &self,
        key: &str,
        list: &Spanned<T>,
        (len, min, max): (usize, usize, usize),
    ) -> Result<(), MapError> {
        if (min..=max).contains(&len) {
            return Ok(());
        }
        Err(MapError::Value {
            path: self.path.into(),
            line: self.line(list.span().start),
            key: format!("the length of {key}"),
            permitted: format!("from {min} to {max}"),
            found: len.to_string(),
        })
    }

    fn check<T: std::fmt::Debug>(
        &self,
        key: &str,
        value: &Spanned<T>,
        good: bool,
        permitted: impl FnOnce() -> String,
    ) -> Result<(), MapError> {
        if good {
            Ok(())
        } else {
            Err(self.value(key, value, &permitted()))
        }
    }

    fn value<T: std::fmt::Debug>(
        &self,
        key: &str,
        value: &Spanned<T>,
        permitted: &str,
    ) -> MapError {
        MapError::Value {
            path: self.path.into(),
            line: self.line(value.span().start),
            key: key.into(),
            permitted: permitted.into(),
            found: format!("{:?}", value.get_ref()),
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> MapError {
        MapError::Syntax {
            path: self.path.into(),
            line: error.span().map_or(1, |span| self.line(span.start)),
            problem: error.message().into(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1
    }
}

/// The samples of a file of heights with `side` samples along each side.
fn decode_heights(bytes: &[u8], side: usize) -> Result<impl Iterator<Item = u16>, String> {
    let Some((header, samples)) = bytes.split_at_checked(HEIGHTS_MAGIC.len() + 4) else {
        return Err(format!(
            "must begin with a header of 12 bytes, but has {} bytes",
            bytes.len()
        ));
    };
    let (magic, found) = header.split_at(HEIGHTS_MAGIC.len());
    if magic != HEIGHTS_MAGIC {
        return Err("must begin with TSHEIGHT: it is no file of heights".into());
    }
    let found = u32::from_le_bytes([found[0], found[1], found[2], found[3]]);
    if found as usize != side {
        return Err(format!(
            "must have {side} samples along each side (size / terrain.cell + 1), but has {found}"
        ));
    }
    if samples.len() != side * side * 2 {
        let expected = side * side * 2;
        return Err(format!(
            "must have {expected} bytes of samples after the header, but has {}",
            samples.len()
        ));
    }
    Ok(samples
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]])))
}

/// Whether a value is in a range, both ends included; NaN is in none.
fn within(value: f64, (low, high): (f64, f64)) -> bool {
    (low..=high).contains(&value)
}

/// The path that messages name for a map that is not in a file.
pub(crate) fn nowhere() -> PathBuf {
    PathBuf::from("<map>")
}
