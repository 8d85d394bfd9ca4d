"""Keeps what differs from run to run away from modes: clocks, dice, addresses, processes.

The same match must come out the same on every run and however the map is divided into
zones, so nothing in it may come from the time of day, from an entropy pool, from where
an object lies in memory, or from the machine's other processes. `install` sees to it
that such functions raise `DeterminismError` and name what to use instead. It is a guard
rail for honest scripts, not a wall.

A module that is loaded already is changed at once, any other when it is imported.
Library code is spared in two cases. While a library module is being imported it may
read a clock or an entropy pool, as `logging` does; a mode can so import what it likes.
And functions that say which object, thread or process something is work for library
code at any time: `copy`, `reprlib` and locks use them only to recognise things.

What it leaves alone: the ``repr`` of an object that doesn't define one shows its
address, and sets of such objects are ordered by it.
"""

import os
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Never

import _tessera

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec


class DeterminismError(RuntimeError):
    """A mode asked for something that differs from run to run; the text names what to
    use instead."""


_DIFFERS = "differs from run to run, as no match may: "
_TIME = _DIFFERS + "tessera.tick() / tessera.TICK_HZ is the time in the match"
_WAIT = (
    _DIFFERS + "a hook can't wait: keep a tick in a field and compare it with "
    "tessera.tick()"
)
_CHANCE = (
    _DIFFERS + "an entity's dice are self.random(), self.uniform(a, b), "
    "self.randrange(n)"
)
_IDENTITY = _DIFFERS + "an entity's number is its .id; compare values with =="
_UNIQUE = f"{_CHANCE}; an entity's number is its .id"
_MACHINE = (
    _DIFFERS + "what a mode does may follow from fields, messages, tessera.options and "
    "tessera.tick() only"
)
_OUTSIDE = (
    "reaches out of the match, which may not depend on what is there: what a mode must "
    "know comes in as tessera.options, what it has to say goes to tessera.log()"
)
_SHARED = (
    "can end the server, of which this zone is a thread: with zones.isolation = "
    '"process" a zone may, and only that zone is started anew'
)
_LASTING = (
    "has no place in a match: a zone's interpreter ends at any time and another goes "
    "on; what must last is kept in a field"
)

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
_COLLECTOR = (
    "get_count",
    "get_freeze_count",
    "get_objects",
    "get_referrers",
    "get_stats",
)
"""What in `gc` shows what lies in memory, in an order that follows from where."""

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
_PROCESSES = (
    "execv",
    "execve",
    "fork",
    "fork1",
    "forkpty",
    "posix_spawn",
    "posix_spawnp",
    "spawnv",
    "spawnve",
    "startfile",
    "system",
)
"""Starters of processes; the others in `os` call one of these."""

_ENDINGS = ("_exit", "abort", "kill", "killpg", "pidfd_open")
"""What in `os` ends a process, or gets hold of one."""

_SIGNALS = (
    "alarm",
    "pause",
    "pidfd_send_signal",
    "pthread_kill",
    "pthread_sigmask",
    "raise_signal",
    "setitimer",
    "sigwait",
    "sigwaitinfo",
    "sigtimedwait",
)
"""What in `signal` concerns the whole process."""

_AUDITED = frozenset(
    {
        "os.chdir",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.putenv",
        "os.remove",
        "os.removexattr",
        "os.rename",
        "os.rmdir",
        "os.setxattr",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.unsetenv",
        "os.utime",
        "socket.__new__",
        "sqlite3.connect",
        "subprocess.Popen",
    }
)
"""Audit events of what reaches out of the match, whoever calls it."""

_UNAUDITED = ("chroot", "mkfifo", "mknod", "umask")
"""Functions of `os` that reach out of the match and have no audit event."""

_LOOKED_INTO = frozenset({"os.listdir", "os.scandir"})
"""Audit events of what a mode may do but in the folders of `_DEVICES`."""

_DEVICES = ("/dev/", "/proc/", "/sys/")
"""Folders of files that are no files."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


_LIBRARIES = set(sys.stdlib_module_names)
"""Top-level names of library modules."""


def install(own_process: bool) -> None:
    """Sets the guard up. Called once in an interpreter, before its mode is loaded: in a
    process that runs nothing else or in one that the server shares."""
    _LIBRARIES.update(_packages())
    if not own_process:
        for name, names in _SHARED_BY_ALL.items():
            _REPLACED[name] = _also(_REPLACED.get(name), names)
    for name, replace in _REPLACED.items():
        if name in sys.modules:
            replace(sys.modules[name])
    sys.meta_path.insert(0, _Finder())
    sys.addaudithook(_audit)


def _refuse(what: str, why: str) -> Never:
    raise DeterminismError(f"{what} {why}")


def _packages() -> set[str]:
    """What is in the folders that the server adds to the path of a zone in a process."""
    own = os.path.dirname(os.__file__)
    folders = [path for path in sys.path if path != own and os.path.isdir(path)]
    added = [path for path in folders if os.path.basename(path) != "lib-dynload"]
    return {name.partition(".")[0] for path in added for name in os.listdir(path)}


def _is_library(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    if name == __name__:
        return True  # between two library modules, of which one calls the other
    return isinstance(name, str) and name.partition(".")[0] in _LIBRARIES


def _is_importing(caller: FrameType) -> bool:
    """Whether the caller is a library module that is being imported, or serves one."""
    frame: FrameType | None = caller
    while frame is not None and _is_library(frame):
        if getattr(frame.f_globals.get("__spec__"), "_initializing", False):
            return True
        frame = frame.f_back
    return False


def _replace(
    module: ModuleType,
    names: tuple[str, ...],
    why: str,
    spares: Callable[[FrameType], bool] = _is_importing,
    arguments: int | None = None,
) -> None:
    """Makes functions raise, unless they are given so many arguments or the caller is
    spared."""
    for name in names:
        original = getattr(module, name, None)
        # It may be missing on this platform, or come from a module that was changed.
        if original is not None and not hasattr(original, "__wrapped__"):
            what = f"{module.__name__.replace('posix', 'os')}.{name}()"
            setattr(module, name, _refused(original, what, why, spares, arguments))


def _refused(
    original: Callable[..., Any],
    what: str,
    why: str,
    spares: Callable[[FrameType], bool],
    arguments: int | None = None,
) -> Callable[..., Any]:
    def refused(*args: Any, **kwargs: Any) -> Any:
        given = arguments is not None and len(args) >= arguments
        if given or spares(sys._getframe(1)):
            return original(*args, **kwargs)
        _refuse(what, why)

    refused.__name__ = refused.__qualname__ = original.__name__
    # Where `functools.wraps` has it too: for tests of the engine, which may measure.
    vars(refused)["__wrapped__"] = original
    return refused


def _replace_builtins(module: ModuleType) -> None:
    original = vars(module)["id"]
    library, module_of = sys.stdlib_module_names, sys._getframemodulename

    def id(obj: object, /) -> Any:
        # First without a frame being made: `copy.deepcopy` calls this for each object.
        if module_of(1) in library or _is_library(sys._getframe(1)):
            return original(obj)
        _refuse("id()", _IDENTITY)

    vars(module)["id"] = id


def _replace_time(module: ModuleType) -> None:
    _replace(module, _CLOCKS, _TIME)
    for name, arguments in _CLOCK_BY_DEFAULT.items():
        _replace(module, (name,), _TIME, arguments=arguments)
    _replace(module, ("sleep",), _WAIT)


def _replace_readlink(module: ModuleType) -> None:
    """There is no audit event for it."""
    original: Any = vars(module)["readlink"]

    def readlink(path: Any, *args: Any, **kwargs: Any) -> Any:
        _check_folder("os.readlink", path, sys._getframe(1))
        return original(path, *args, **kwargs)

    vars(module)["readlink"] = readlink


def _replace_os(module: ModuleType) -> None:
    _replace_readlink(module)
    _replace(module, ("times",), _TIME)
    _replace(module, ("urandom", "getrandom"), _CHANCE)
    _replace(module, ("getloadavg",), _MACHINE)
    _replace(module, ("getpid", "getppid"), _MACHINE, _is_library)
    _replace(module, _PROCESSES, _OUTSIDE)
    _replace(module, _UNAUDITED, _OUTSIDE)


def _also(
    replace: Callable[[ModuleType], None] | None, names: tuple[str, ...]
) -> Callable[[ModuleType], None]:
    def both(module: ModuleType) -> None:
        if replace is not None:
            replace(module)
        if not names:
            _refuse(module.__name__, _SHARED)
        _replace(module, names, _SHARED)

    return both


def _replace_thread(module: ModuleType) -> None:
    _replace(module, ("get_ident", "get_native_id"), _IDENTITY, _is_library)


def _replace_generator(module: ModuleType) -> None:
    """Makes generators need a seed. With one they are the same on every run."""
    original: Any = module.__dict__["Random"]

    def check(seed: tuple[Any, ...], caller: FrameType) -> None:
        if (not seed or seed[0] is None) and not _is_importing(caller):
            _refuse("random.Random() without a seed", _CHANCE)

    def init(self: Any, *seed: Any) -> None:
        check(seed, sys._getframe(1))
        original.__init__(self, *seed)

    def reseed(self: Any, *seed: Any) -> None:
        check(seed, sys._getframe(1))
        original.seed(self, *seed)

    namespace = {"__init__": init, "seed": reseed, "__slots__": ()}
    namespace["__module__"] = module.__name__
    vars(module)["Random"] = type("Random", (original,), namespace)


class _NoGenerator:
    """Stands for a generator that all code in the interpreter shares."""

    def __getattr__(self, name: str) -> Never:
        _refuse(f"random._inst.{name}", _CHANCE)


def _replace_random(module: ModuleType) -> None:
    _replace(module, _DICE, _CHANCE)
    vars(module)["_inst"] = _NoGenerator()
    entropy: Any = module.__dict__["SystemRandom"]
    entropy.__init__ = _refused(
        entropy.__init__, "random.SystemRandom()", _CHANCE, _is_importing
    )


def _replace_numpy(module: ModuleType) -> None:
    """Its functions share one generator, whose seed is entropy; its classes want a seed
    from `secrets` where they are given none."""
    names: list[str] = vars(module)["__all__"]
    shared = [name for name in names if name.islower() and name != "default_rng"]
    _replace(module, tuple(shared), _CHANCE)


def _replace_logging(module: ModuleType) -> None:
    """Gives it the server's log, and records that say nothing of the process: no time,
    no thread."""
    logging: Any = module
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)
    logging.time = _Stopped()
    logging._startTime = 0
    logging.Formatter.converter = staticmethod(logging.time.gmtime)

    def emit(self: Any, record: Any) -> None:
        _tessera.log(record.levelno, self.format(record))

    handler = type("ServerLog", (logging.Handler,), {"emit": emit})
    logging.root.addHandler(handler())
    logging.root.setLevel(logging.NOTSET)  # the server decides what it shows


class _Stopped:
    """Stands for the module `time`, with clocks that have stopped."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.modules["time"], name)

    def time(self) -> float:
        return 0.0

    def time_ns(self) -> int:
        return 0


class _LikeOriginal(type):
    """A class that stands for the one it derives from, also for objects made before."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _original(cls)) or type.__instancecheck__(
            cls, instance
        )

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _original(cls)) or type.__subclasscheck__(
            cls, subclass
        )


def _original(cls: type) -> tuple[type, ...]:
    """What the class stands for; nothing where a script derived it from one that
    does."""
    return cls.__bases__ if "refused" in vars(cls) else ()


def _replace_datetime(module: ModuleType) -> None:
    def without(original: type, **namespace: Any) -> Any:
        def refused(name: str) -> "classmethod[Any, Any, Any]":
            def method(cls: type, *args: Any, **kwargs: Any) -> Never:
                _refuse(f"datetime.{original.__name__}.{name}()", _TIME)

            return classmethod(method)

        for name in ("now", "today", "utcnow"):
            if hasattr(original, name):
                namespace[name] = refused(name)
        namespace |= {"__module__": "datetime", "__slots__": (), "refused": True}
        return _LikeOriginal(original.__name__, (original,), namespace)

    def date_of(self: Any) -> Any:
        return date(self.year, self.month, self.day)

    replaced: Any = module
    date = replaced.date = without(replaced.date)
    both = replaced.datetime = without(replaced.datetime, date=date_of)
    # Objects of the originals would still have their clocks.
    date.min, date.max = date(1, 1, 1), date(9999, 12, 31)
    both.min = both(1, 1, 1)
    both.max = both(9999, 12, 31, 23, 59, 59, 999_999)


_REPLACED: dict[str, Callable[[ModuleType], None]] = {
    "_datetime": _replace_datetime,
    "_random": _replace_generator,
    "_ssl": lambda module: _replace(module, ("RAND_bytes",), _CHANCE),
    "_thread": _replace_thread,
    "_uuid": lambda module: _replace(module, ("generate_time_safe",), _UNIQUE),
    "atexit": lambda module: _replace(module, ("register",), _LASTING, _is_library),
    "builtins": _replace_builtins,
    "gc": lambda module: _replace(module, _COLLECTOR, _MACHINE),
    "logging": _replace_logging,
    "numpy.random": _replace_numpy,
    "os": _replace_os,
    "posix": _replace_os,
    "random": _replace_random,
    "resource": lambda module: _replace(module, ("getrusage",), _MACHINE),
    "secrets": lambda module: _replace(module, _SECRETS, _CHANCE),
    "sys": lambda module: _replace(module, ("getallocatedblocks",), _MACHINE),
    "threading": _replace_thread,
    "time": _replace_time,
    "uuid": lambda module: _replace(module, _UUIDS, _UNIQUE),
}
"""What is to be done to which module."""

_SHARED_BY_ALL: dict[str, tuple[str, ...]] = {
    "_ctypes": (),
    "_signal": _SIGNALS,
    "os": _ENDINGS,
    "posix": _ENDINGS,
    "signal": _SIGNALS,
}
"""What a zone may not call that is a thread of the server; of a module without names
nothing at all."""


class _Finder:
    """Finds the modules that are to be changed, as the other finders do."""

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> "ModuleSpec | None":
        if fullname not in _REPLACED:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                changing: Any = spec.loader and _Changing(spec.loader)
                spec.loader = changing
                return spec
        return None


class _Changing:
    """Loads a module with its own loader and changes it before anyone sees it."""

    def __init__(self, loader: "Loader") -> None:
        self.loader = loader

    def create_module(self, spec: "ModuleSpec") -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _REPLACED[module.__name__](module)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Called by the interpreter when something opens a file and the like; not by
    anything that hooks do all the time."""
    if event == "open":
        _check_open(*arguments)
    elif event in _LOOKED_INTO:
        _check_folder(event, arguments[0], sys._getframe(1))
    elif event in _AUDITED and not _is_importing(sys._getframe(1)):
        _refuse(event.removesuffix(".__new__"), _OUTSIDE)


def _is_device(name: str) -> bool:
    return f"{os.path.abspath(name)}/".startswith(_DEVICES)


def _check_folder(what: str, path: Any, caller: FrameType) -> None:
    """Lets folders be read but those of `_DEVICES`."""
    if path is None or isinstance(path, int):
        return  # the current one, or opened before
    name = os.fsdecode(path)
    if _is_device(name) and not _is_importing(caller):
        _refuse(f"{what} of {name!r}", _OUTSIDE)


def _check_open(path: Any, mode: str | None, flags: int) -> None:
    """Lets files be read, among them all modules."""
    if isinstance(path, int):
        return  # opened before
    name = os.fsdecode(path)
    device = _is_device(name)
    writes = flags & _WRITING or (mode is not None and not set("wax+").isdisjoint(mode))
    if (device or writes) and not _is_importing(sys._getframe(2)):
        purpose = "" if device else " for writing"
        why = _CHANCE if device and name.endswith("random") else _OUTSIDE
        _refuse(f"opening {name!r}{purpose}", why)
