"""Keeps the clocks and dice of Python's library away from modes.

The same match must come out the same on every run and however the map is divided into
zones, so nothing in it may come from the time of day, from an entropy pool, or from
where an object lies in memory. `install` replaces those functions by ones that raise
`DeterminismError` and name what to use instead. It is a guard rail for honest scripts,
not a wall.

Library modules are spared in two cases. While one is being imported it may read a
clock, as `logging` does; a mode can so import what it likes. And ``id`` works for
library code at any time, since `copy` or `reprlib` use it only to recognise objects.
"""

import builtins
import datetime
import os
import random
import secrets
import sys
import time
import uuid
from types import FrameType, ModuleType
from typing import Any, Never


class DeterminismError(RuntimeError):
    """A mode asked for something that differs from run to run; the text names what to
    use instead."""


_TIME = "tessera.tick() / tessera.TICK_HZ is the time in the match"
_WAIT = "a hook can't wait: keep a tick in a field and compare it with tessera.tick()"
_CHANCE = "an entity's dice are self.random(), self.uniform(a, b), self.randrange(n)"
_IDENTITY = "an entity's number is its .id; whether two names mean one object says `is`"

_CLOCKS = (
    "clock_gettime",
    "clock_gettime_ns",
    "ctime",
    "localtime",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
    "thread_time_ns",
    "time",
    "time_ns",
)
_CLOCK_BY_DEFAULT = {"asctime": 1, "gmtime": 1, "strftime": 2}
"""Functions of `time` that read a clock unless they are given so many arguments."""

_DICE = (
    "betavariate",
    "binomialvariate",
    "choice",
    "choices",
    "expovariate",
    "gammavariate",
    "gauss",
    "getrandbits",
    "getstate",
    "lognormvariate",
    "normalvariate",
    "paretovariate",
    "randbytes",
    "randint",
    "random",
    "randrange",
    "sample",
    "seed",
    "setstate",
    "shuffle",
    "triangular",
    "uniform",
    "vonmisesvariate",
    "weibullvariate",
)
_SECRETS = (
    "choice",
    "randbelow",
    "randbits",
    "token_bytes",
    "token_hex",
    "token_urlsafe",
)
_UUIDS = ("getnode", "uuid1", "uuid4", "uuid6", "uuid7")


def install() -> None:
    """Replaces the functions. Called once in an interpreter, before its mode is
    loaded."""
    for name in _CLOCKS:
        _replace(time, name, _TIME)
    for name, arguments in _CLOCK_BY_DEFAULT.items():
        _replace(time, name, _TIME, arguments)
    _replace(time, "sleep", _WAIT)
    _replace(os, "times", _TIME)
    _replace(os, "urandom", _CHANCE)
    _replace(os, "getrandom", _CHANCE)
    for name in _DICE:
        _replace(random, name, _CHANCE)
    for name in _SECRETS:
        _replace(secrets, name, _CHANCE)
    for name in _UUIDS:
        _replace(uuid, name, f"{_CHANCE}; {_IDENTITY}")
    for name in ("Random", "SystemRandom"):
        _replace_generator(name)
    _replace_datetime()
    _replace_id()


def _refuse(what: str, instead: str) -> Never:
    raise DeterminismError(
        f"{what} differs from run to run, as no match may: {instead}"
    )


def _replace(
    module: ModuleType, name: str, instead: str, arguments: int | None = None
) -> None:
    """Makes a function raise, unless it is given so many arguments or its caller is
    spared."""
    original = getattr(module, name, None)
    if original is None:
        return  # not on this platform or in this version

    def refused(*args: Any, **kwargs: Any) -> Any:
        spared = arguments is not None and len(args) >= arguments
        if spared or _is_importing(sys._getframe(1)):
            return original(*args, **kwargs)
        _refuse(f"{module.__name__}.{name}()", instead)

    refused.__name__ = refused.__qualname__ = name
    setattr(module, name, refused)


def _replace_generator(name: str) -> None:
    """Makes a class of generators raise when it is called. One can still derive from
    it."""
    original = getattr(random, name)

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        if _is_importing(sys._getframe(1)):
            return original(*args, **kwargs)
        _refuse(f"random.{name}()", _CHANCE)

    replaced = type(name, (original,), {"__new__": new, "__module__": "random"})
    for module in (random, secrets):
        if hasattr(module, name):
            setattr(module, name, replaced)


class _LikeOriginal(type):
    """A class that stands for the one it derives from, also for objects made before."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__bases__[0])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__bases__[0])


def _replace_datetime() -> None:
    def without(original: type, *names: str) -> type:
        def refused(name: str) -> "classmethod[Any, Any, Any]":
            def method(cls: type, *args: Any, **kwargs: Any) -> Never:
                _refuse(f"datetime.{original.__name__}.{name}()", _TIME)

            return classmethod(method)

        namespace: dict[str, Any] = {name: refused(name) for name in names}
        namespace["__module__"] = "datetime"
        namespace["__slots__"] = ()
        return _LikeOriginal(original.__name__, (original,), namespace)

    replaced: Any = datetime
    replaced.date = without(datetime.date, "today")
    replaced.datetime = without(datetime.datetime, "now", "today", "utcnow")


def _replace_id() -> None:
    original = builtins.id

    def id(obj: object, /) -> int:
        if _is_library(sys._getframe(1)):
            return original(obj)
        _refuse("id()", _IDENTITY)

    builtins.id = id


def _is_library(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] in sys.stdlib_module_names


def _is_importing(caller: FrameType) -> bool:
    """Whether the caller is a library module that is being imported, or serves one."""
    frame: FrameType | None = caller
    while frame is not None and _is_library(frame):
        if getattr(frame.f_globals.get("__spec__"), "_initializing", False):
            return True
        frame = frame.f_back
    return False
