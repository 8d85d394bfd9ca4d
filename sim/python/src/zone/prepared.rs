//! A zone on the threshold of its mode: how it comes there, and what is done there once for many.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Objects, ScriptZone};
use crate::context::Context;
use crate::error::ScriptError;
use crate::fork;
use crate::interpreter::Interpreter;
use crate::interrupt::{Interrupter, Watch};
use crate::load::{self, Loaded, Threshold};
use crate::memory::Account;
use crate::population::Population;
use crate::py::Raised;
use crate::view::Members;
use crate::{HookStats, ScriptConfig};

/// A zone whose interpreter has loaded the package `tessera`, and of the mode nothing: no script has run
/// in it. Stays on the thread that started it.
///
/// A process can [`fork`](Self::fork) as often as it likes here, and each fork [`load`](Self::load) the
/// mode for itself: what all of them need has been done once, and is shared until somebody writes to it.
pub struct Prepared {
    /// Objects of the zone's interpreter: released before that.
    threshold: Threshold,
    zone: ScriptZone,
}

/// Which of two processes this is after a fork.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forked {
    /// The one that has forked; the other's number.
    Original(u32),
    /// The other.
    Copy,
}

impl Prepared {
    /// Prepares the main interpreter of this process, of which there is one and which never ends. It can
    /// import what no other can, such as numpy, also from the folders `packages`, which come after the
    /// standard library. The thread is as for [`ScriptZone::start`], the interrupter as for
    /// [`ScriptZone::start_with`].
    ///
    /// # Errors
    /// Where Python can't start, and where this process has started an interpreter before.
    pub fn main(
        config: &ScriptConfig,
        interrupter: &Interrupter,
        packages: &[PathBuf],
    ) -> Result<Self, ScriptError> {
        Self::start(config, interrupter, |watch, account| {
            Interpreter::main(packages, watch, account)
        })
    }

    pub(super) fn start(
        config: &ScriptConfig,
        interrupter: &Interrupter,
        create: impl FnOnce(Arc<Watch>, Arc<Account>) -> Result<Interpreter, ScriptError>,
    ) -> Result<Self, ScriptError> {
        if config.tick_hz == 0 || !(config.halo_m >= 0.0 && config.halo_m.is_finite()) {
            return Err(ScriptError::host(
                "tick_hz must be above 0, and halo_m finite and at least 0",
            ));
        }
        let watch = interrupter.0.clone();
        if !watch.is_free() {
            return Err(ScriptError::host("an interrupter is of one zone only"));
        }
        let context = Box::new(Context::new(config));
        let zone = ScriptZone {
            population: Population::default(),
            objects: None,
            gather: Default::default(),
            changed: Vec::new(),
            failed: Vec::new(),
            touched: Vec::new(),
            kept: Vec::new(),
            stats: HookStats::default(),
            clock: None,
            spans: Vec::new(),
            watch: watch.clone(),
            table: Arc::default(),
            dt: 1.0 / f64::from(config.tick_hz),
            interpreter: create(watch.clone(), context.memory.clone())?,
            _members: Members::default(),
            context,
        };
        zone.enter();
        let run = watch.run();
        let context = &zone.context;
        // SAFETY: attached to the interpreter just created.
        let prepared = context
            .memory
            .capped(|| unsafe { load::prepare(context, &run) });
        drop(run);
        Ok(Self {
            threshold: prepared?,
            zone,
        })
    }

    /// Compiles the mode's modules, without running anything of them, and takes all that is there out of
    /// the garbage collector's sight, which else would write to it in each fork. What does not compile
    /// is an error when it is loaded.
    ///
    /// # Errors
    /// A fault of the Python installation.
    pub fn compile_ahead(&mut self) -> Result<(), ScriptError> {
        self.zone.enter();
        // SAFETY: attached.
        unsafe { self.threshold.compile_ahead(&self.zone.context) }
    }

    /// Makes a copy of this process, whose parent is this one's parent: that is who waits for its end. The
    /// copy has this one's open files, limits and filters of system calls; a signal that this one gets at
    /// its parent's death it has to ask for itself.
    ///
    /// # Errors
    /// A process with more than one thread; a system that has no such calls, or no room for another process.
    pub fn fork(&mut self) -> io::Result<Forked> {
        self.zone.enter();
        // SAFETY: attached, and no frame of a script is running.
        unsafe { fork::fork() }
    }

    /// Loads the mode: from here on scripts run.
    ///
    /// # Errors
    /// As [`ScriptZone::start_with`].
    pub fn load(self) -> Result<ScriptZone, ScriptError> {
        let Self {
            threshold,
            mut zone,
        } = self;
        zone.enter();
        let run = zone.watch.run();
        let (context, members) = (&zone.context, &mut zone._members);
        // SAFETY: attached to the zone's interpreter; the members are dropped after it.
        let loaded = context
            .memory
            .capped(|| unsafe { load::load(context, threshold, members, &run) })?;
        drop(run);
        let Loaded { kinds, start } = loaded;
        // SAFETY: attached; `take` is called where something raised.
        let objects = unsafe {
            Objects::new(zone.dt, start).map_err(|Raised| ScriptError::take(&zone.context.mode))?
        };
        zone.objects = Some(objects);
        zone.population = Population::new(&kinds);
        zone.table = kinds.table.clone();
        let fresh = zone.context.kinds.set(kinds).is_ok();
        assert!(fresh, "a zone is loaded once");
        Ok(zone)
    }
}
