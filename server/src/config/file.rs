//! The TOML file: every key may be left out, none may be unknown, and each error names its line.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use tessera_protocol::token::MATCH_ID_LEN_MAX;
use tessera_python::OptionValue;
use tessera_sim::Grid;
use thiserror::Error;
use toml::Spanned;

use super::{
    Access, AddressValidation, BUDGET_PERCENT, CLIENT_KIB_S, CUTS_X, CUTS_Z, Config,
    DRAIN_TIMEOUT_S, HALO_M, IDLE_TIMEOUT_S, Isolation, KEY_FILE, LOAD_TIMEOUT_S, MAP, MODE,
    OnExhausted, PLAYERS, QUARANTINE_FAILURES, QUARANTINE_REST_MS, RECONNECT_GRACE_S,
    RESTART_INTENSITY, RESTART_PERIOD_S, SPARES, SPECTATOR_DELAY_S, SPECTATORS, TICK_HZ,
    WORKER_THREADS, Watch, ZONE_MEMORY_MIB,
};
use crate::layout::Layout;

#[cfg(test)]
mod tests;

/// Where a file says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// Counted from one.
    line: usize,
    source_line: String,
}

impl Place {
    /// What is wrong with what is said there.
    pub(crate) fn wrong(&self, message: String) -> ConfigError {
        ConfigError::Wrong {
            path: self.path.clone(),
            line: self.line,
            message,
            source_line: self.source_line.clone(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "the configuration file {} (--config) cannot be read: {error}; assets/tessera.toml is a model of one",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}: {message}\n  {line} | {source_line}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it, and what would be right.
        message: String,
        /// The line itself.
        source_line: String,
    },
}

type Value<T> = Option<Spanned<T>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    #[serde(rename = "match")]
    game: Match,
    zones: Zones,
    supervision: Supervision,
    net: Net,
    ops: Ops,
    log: Log,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Match {
    mode: Value<String>,
    map: Value<String>,
    seed: Value<i64>,
    tick_hz: Value<i64>,
    players: Value<i64>,
    options: BTreeMap<String, Spanned<toml::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Zones {
    count: Value<i64>,
    grid: Value<String>,
    cuts_x: Value<Vec<f64>>,
    cuts_z: Value<Vec<f64>>,
    halo_m: Value<f64>,
    isolation: Value<String>,
    packages: Value<Vec<Spanned<PathBuf>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Supervision {
    enabled: Option<bool>,
    soft_budget_percent: Value<i64>,
    hard_budget_percent: Value<i64>,
    memory_mib: Value<i64>,
    load_timeout_s: Value<i64>,
    spares: Value<i64>,
    restart_intensity: Value<i64>,
    restart_period_s: Value<i64>,
    on_exhausted: Value<String>,
    quarantine_failures: Value<i64>,
    quarantine_rest_ms: Value<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Net {
    listen: Value<String>,
    worker_threads: Value<i64>,
    client_kib_s: Value<i64>,
    tokens: Value<String>,
    token_key_file: Value<String>,
    match_id: Value<String>,
    reconnect_grace_s: Value<i64>,
    spectators: Value<i64>,
    spectator_delay_s: Value<i64>,
    address_validation: Value<String>,
    idle_timeout_s: Value<i64>,
    drain_timeout_s: Value<i64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ops {
    listen: Value<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    filter: Value<String>,
}

impl Config {
    /// The defaults with what the file at `path` says over them.
    ///
    /// # Errors
    /// A file that cannot be read; anything in it that is unknown, of the wrong type or out of range.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Config::parse(path, &text)
    }

    /// As [`Config::load`], from text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let source = Source { path, text };
        let file: File = toml::from_str(text)
            .map_err(|error| source.wrong(error.span().unwrap_or(0..0), error.message()))?;
        let mut config = Config::default();
        file.game.apply(&source, &mut config)?;
        file.zones.apply(&source, &mut config)?;
        file.supervision.apply(&source, &mut config)?;
        file.net.apply(&source, &mut config)?;
        if let Some(listen) = file.ops.listen {
            config.ops = match listen.as_ref().as_str() {
                "off" => None,
                _ => Some(source.address("ops.listen", listen)?),
            };
        }
        if let Some(filter) = file.log.filter {
            config.log = source.log_filter(filter)?;
        }
        Ok(config)
    }
}

impl Match {
    fn apply(self, source: &Source<'_>, config: &mut Config) -> Result<(), ConfigError> {
        // Whether they are there is seen when they are loaded.
        for (key, value, into) in [
            (MODE, self.mode, &mut config.mode),
            (MAP, self.map, &mut config.map),
        ] {
            if let Some(value) = value {
                config.places.insert(key, source.place(value.span()));
                *into = value.into_inner();
            }
        }
        // TOML's integers end at 2⁶³ − 1; the flag takes the other half too.
        source.integer(
            "match.seed",
            self.seed,
            0..=i64::MAX as u64,
            &mut config.seed,
        )?;
        source.integer("match.tick_hz", self.tick_hz, TICK_HZ, &mut config.tick_hz)?;
        source.integer("match.players", self.players, PLAYERS, &mut config.players)?;
        for (key, value) in self.options {
            let span = value.span();
            let value = match value.into_inner() {
                toml::Value::Boolean(value) => OptionValue::Bool(value),
                toml::Value::Integer(value) => OptionValue::Int(value),
                toml::Value::Float(value) => OptionValue::Float(value),
                toml::Value::String(value) => OptionValue::Str(value),
                other => {
                    let message = format!(
                        "match.options.{key} is a TOML {}: an option is true or false, a number or a string",
                        other.type_str()
                    );
                    return Err(source.wrong(span, &message));
                }
            };
            config.options.insert(key, value);
        }
        Ok(())
    }
}

impl Zones {
    fn apply(self, source: &Source<'_>, config: &mut Config) -> Result<(), ConfigError> {
        let ways = [
            self.count.as_ref().map(Spanned::span),
            self.grid.as_ref().map(Spanned::span),
            self.cuts_x
                .as_ref()
                .or(self.cuts_z.as_ref())
                .map(Spanned::span),
        ];
        let mut given: Vec<_> = ways.into_iter().flatten().collect();
        given.sort_by_key(|span| span.start);
        if let Some(second) = given.get(1) {
            let message = "zones are given in two ways: keep one of zones.count, zones.grid and zones.cuts_x/cuts_z";
            return Err(source.wrong(second.clone(), message));
        }
        if let Some(count) = self.count {
            let span = count.span();
            let zones = usize::try_from(count.into_inner()).unwrap_or(0);
            config.layout = Layout::of_count(zones)
                .map_err(|error| source.wrong(span, &format!("zones.count: {error}")))?;
        } else if let Some(grid) = self.grid {
            config.layout = source.parsed("zones.grid", grid)?;
        } else if let Some(span) = given.into_iter().next() {
            for (key, cuts) in [(CUTS_X, &self.cuts_x), (CUTS_Z, &self.cuts_z)] {
                if let Some(cuts) = cuts {
                    config.places.insert(key, source.place(cuts.span()));
                }
            }
            let inner = |cuts: Value<Vec<f64>>| cuts.map(Spanned::into_inner).unwrap_or_default();
            let (x, z) = (inner(self.cuts_x), inner(self.cuts_z));
            // Whether they lie on the map is seen when that has been loaded.
            if let Err(error) = Grid::new(x.clone(), z.clone()) {
                return Err(source.wrong(span, &format!("zones.cuts_x/cuts_z: {error}")));
            }
            config.layout = Layout::Cuts { x, z };
        }
        if let Some(halo) = self.halo_m {
            if !HALO_M.contains(halo.as_ref()) {
                return Err(source.out_of_range("zones.halo_m", &halo, &HALO_M));
            }
            config.halo_m = halo.into_inner();
        }
        if let Some(isolation) = self.isolation {
            config.isolation = Isolation::named(isolation.as_ref()).ok_or_else(|| {
                let choices = "\"thread\" or \"process\"";
                source.no_choice("zones.isolation", &isolation, choices)
            })?;
        }
        if let Some(packages) = self.packages {
            if config.isolation == Isolation::Thread {
                let message = "zones.packages does nothing without zones.isolation = \"process\": packages \
                               such as numpy work in no other interpreter than a process's main one";
                return Err(source.wrong(packages.span(), message));
            }
            for folder in packages.into_inner() {
                if !folder.as_ref().is_dir() {
                    let message = format!(
                        "zones.packages: there is no folder {}: name one that has packages in it, such as \
                         the site-packages of a virtual environment",
                        folder.as_ref().display()
                    );
                    return Err(source.wrong(folder.span(), &message));
                }
                config.packages.push(folder.into_inner());
            }
        }
        Ok(())
    }
}

impl Supervision {
    fn apply(self, source: &Source<'_>, config: &mut Config) -> Result<(), ConfigError> {
        let mut watch = Watch::default();
        let hard_at = self.hard_budget_percent.as_ref().map(Spanned::span);
        let soft_at = self.soft_budget_percent.as_ref().map(Spanned::span);
        for (key, value, into) in [
            (
                "supervision.soft_budget_percent",
                self.soft_budget_percent,
                &mut watch.soft_budget_percent,
            ),
            (
                "supervision.hard_budget_percent",
                self.hard_budget_percent,
                &mut watch.hard_budget_percent,
            ),
        ] {
            source.integer(key, value, BUDGET_PERCENT, into)?;
        }
        if watch.soft_budget_percent > watch.hard_budget_percent {
            let message = format!(
                "supervision.soft_budget_percent = {} is above supervision.hard_budget_percent = {}",
                watch.soft_budget_percent, watch.hard_budget_percent
            );
            return Err(source.wrong(hard_at.or(soft_at).unwrap_or(0..0), &message));
        }
        source.integer(
            "supervision.memory_mib",
            self.memory_mib,
            ZONE_MEMORY_MIB,
            &mut watch.memory_mib,
        )?;
        source.integer(
            "supervision.load_timeout_s",
            self.load_timeout_s,
            LOAD_TIMEOUT_S,
            &mut watch.load_timeout_s,
        )?;
        source.integer("supervision.spares", self.spares, SPARES, &mut watch.spares)?;
        source.integer(
            "supervision.restart_intensity",
            self.restart_intensity,
            RESTART_INTENSITY,
            &mut watch.restart_intensity,
        )?;
        source.integer(
            "supervision.restart_period_s",
            self.restart_period_s,
            RESTART_PERIOD_S,
            &mut watch.restart_period_s,
        )?;
        source.integer(
            "supervision.quarantine_failures",
            self.quarantine_failures,
            QUARANTINE_FAILURES,
            &mut watch.quarantine_failures,
        )?;
        source.integer(
            "supervision.quarantine_rest_ms",
            self.quarantine_rest_ms,
            QUARANTINE_REST_MS,
            &mut watch.quarantine_rest_ms,
        )?;
        if let Some(what) = self.on_exhausted {
            watch.on_exhausted = match what.as_ref().as_str() {
                "coast" => OnExhausted::Coast,
                "drain" => OnExhausted::Drain,
                _ => {
                    let choices = "\"coast\" or \"drain\"";
                    return Err(source.no_choice("supervision.on_exhausted", &what, choices));
                }
            };
        }
        config.watch = self.enabled.unwrap_or(true).then_some(watch);
        Ok(())
    }
}

impl Net {
    fn apply(self, source: &Source<'_>, config: &mut Config) -> Result<(), ConfigError> {
        if let Some(listen) = self.listen {
            config.listen = source.address("net.listen", listen)?;
        }
        let threads = &mut config.worker_threads;
        source.integer(
            "net.worker_threads",
            self.worker_threads,
            WORKER_THREADS,
            threads,
        )?;
        source.integer(
            "net.client_kib_s",
            self.client_kib_s,
            CLIENT_KIB_S,
            &mut config.client_kib_s,
        )?;
        let most = &mut config.spectators;
        source.integer("net.spectators", self.spectators, SPECTATORS, most)?;
        for (key, value, range, into) in [
            (
                "net.reconnect_grace_s",
                self.reconnect_grace_s,
                RECONNECT_GRACE_S,
                &mut config.reconnect_grace,
            ),
            (
                "net.spectator_delay_s",
                self.spectator_delay_s,
                SPECTATOR_DELAY_S,
                &mut config.spectator_delay,
            ),
            (
                "net.idle_timeout_s",
                self.idle_timeout_s,
                IDLE_TIMEOUT_S,
                &mut config.idle_timeout,
            ),
            (
                "net.drain_timeout_s",
                self.drain_timeout_s,
                DRAIN_TIMEOUT_S,
                &mut config.drain_timeout,
            ),
        ] {
            source.seconds(key, value, range, into)?;
        }
        if let Some(when) = self.address_validation {
            config.address_validation = match when.as_ref().as_str() {
                "always" => AddressValidation::Always,
                "under-load" => AddressValidation::UnderLoad,
                "off" => AddressValidation::Off,
                _ => {
                    let choices = "\"always\", \"under-load\" or \"off\"";
                    return Err(source.no_choice("net.address_validation", &when, choices));
                }
            };
        }
        if let Some(file) = &self.token_key_file {
            config.places.insert(KEY_FILE, source.place(file.span()));
        }
        config.access = access(source, self.tokens, self.token_key_file, self.match_id)?;
        Ok(())
    }
}

/// Whom the server lets in. A key or an id without tokens is a mistake: whoever wrote it believes
/// that strangers are kept out.
fn access(
    source: &Source<'_>,
    tokens: Value<String>,
    key_file: Value<String>,
    match_id: Value<String>,
) -> Result<Access, ConfigError> {
    let tokens = match tokens {
        Some(tokens) => match tokens.as_ref().as_str() {
            "off" => None,
            "required" => Some(tokens.span()),
            _ => {
                let choices = "\"required\" or \"off\"";
                return Err(source.no_choice("net.tokens", &tokens, choices));
            }
        },
        None => None,
    };
    let Some(tokens) = tokens else {
        let unused = key_file.or(match_id);
        return unused.map_or(Ok(Access::Open), |unused| {
            let message =
                "net.token_key_file and net.match_id do nothing without net.tokens = \"required\"";
            Err(source.wrong(unused.span(), message))
        });
    };
    let needs = |what: &str| {
        let message = format!("net.tokens = \"required\" needs {what}");
        source.wrong(tokens.clone(), &message)
    };
    let key_file = key_file
        .ok_or_else(|| needs("net.token_key_file: `tessera token --new-key FILE` makes one"))?;
    let match_id = match_id.ok_or_else(|| needs("net.match_id: the match that tokens are for"))?;
    let len = match_id.as_ref().len();
    if !(1..=MATCH_ID_LEN_MAX).contains(&len) {
        let message = format!("net.match_id has {len} bytes: it can have 1 to {MATCH_ID_LEN_MAX}");
        return Err(source.wrong(match_id.span(), &message));
    }
    Ok(Access::Tokens {
        key_file: PathBuf::from(key_file.into_inner()),
        match_id: match_id.into_inner(),
    })
}

/// The text that is being read, to say where in it something is wrong.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn wrong(&self, at: Range<usize>, message: &str) -> ConfigError {
        self.place(at).wrong(message.to_owned())
    }

    fn place(&self, at: Range<usize>) -> Place {
        let before = &self.text[..at.start.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let source_line = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        Place {
            path: self.path.to_owned(),
            line,
            source_line: source_line.to_owned(),
        }
    }

    fn out_of_range<T: Display, R: Display>(
        &self,
        key: &str,
        value: &Spanned<T>,
        range: &RangeInclusive<R>,
    ) -> ConfigError {
        let (low, high) = (range.start(), range.end());
        let message = format!(
            "{key} = {} is out of range: it can be {low} to {high}",
            value.as_ref()
        );
        self.wrong(value.span(), &message)
    }

    fn no_choice(&self, key: &str, value: &Spanned<String>, choices: &str) -> ConfigError {
        let message = format!("{key} = \"{}\": it can be {choices}", value.as_ref());
        self.wrong(value.span(), &message)
    }

    fn integer<T: TryFrom<i64> + PartialOrd + Display>(
        &self,
        key: &str,
        value: Value<i64>,
        range: RangeInclusive<T>,
        into: &mut T,
    ) -> Result<(), ConfigError> {
        let Some(value) = value else { return Ok(()) };
        match T::try_from(*value.as_ref()) {
            Ok(number) if range.contains(&number) => *into = number,
            _ => return Err(self.out_of_range(key, &value, &range)),
        }
        Ok(())
    }

    fn seconds(
        &self,
        key: &str,
        value: Value<i64>,
        range: RangeInclusive<u64>,
        into: &mut Duration,
    ) -> Result<(), ConfigError> {
        let mut seconds = into.as_secs();
        self.integer(key, value, range, &mut seconds)?;
        *into = Duration::from_secs(seconds);
        Ok(())
    }

    fn parsed<T: FromStr<Err: Display>>(
        &self,
        key: &str,
        value: Spanned<String>,
    ) -> Result<T, ConfigError> {
        let parsed = value.as_ref().parse();
        parsed.map_err(|error| self.wrong(value.span(), &format!("{key}: {error}")))
    }

    fn address(&self, key: &str, value: Spanned<String>) -> Result<SocketAddr, ConfigError> {
        value.as_ref().parse().map_err(|_| {
            let message = format!(
                "{key} = \"{}\" is no address: write IP:PORT, like 127.0.0.1:7777 or [::1]:7777",
                value.as_ref()
            );
            self.wrong(value.span(), &message)
        })
    }

    fn log_filter(&self, value: Spanned<String>) -> Result<String, ConfigError> {
        super::log_filter(value.as_ref())
            .map_err(|error| self.wrong(value.span(), &format!("log.filter: {error}")))
    }
}
