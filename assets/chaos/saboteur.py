"""Entities that do harm, each at its time: what `loadtest --chaos` lays over a mode.

Each fault is a function of its own, so that a failed hook's line tells which fault it was.
The load tester draws which of them happen (loadtest/src/chaos/plan.rs) and counts them.
"""

import os
import re
import signal
from collections.abc import Callable, Collection, Sequence
from typing import Any

from tessera import (
    NOBODY,
    TICK_HZ,
    Command,
    Entity,
    Vec3,
    World,
    field,
    find,
    ground,
    map_size,
    tick,
)

SABOTEURS = 128
"""Far more than one: who had to be preempted rests for a second."""

HARD = "a" * 20 + "b"
"""Takes `(a+)+$` a twentieth of a second: far beyond any budget, and over before the machine
is full of threads that were given up."""


def endless_loop() -> None:
    while True:
        pass


def loop_that_catches_everything() -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001, S110
            pass


def deep_recursion() -> None:
    deep_recursion()


def ten_gigabytes() -> None:
    bytes(10 << 30)


def huge_regex() -> None:
    re.match(r"(a+)+$", HARD)


def raise_in_tick() -> None:
    raise ValueError("on purpose")


def raise_in_message() -> None:
    raise ValueError("on purpose")


def raise_in_command() -> None:
    raise ValueError("on purpose")


def raise_in_spawn() -> None:
    raise ValueError("on purpose")


def raise_in_despawn() -> None:
    raise ValueError("on purpose")


def raise_in_restart() -> None:
    raise ValueError("on purpose")


def sigkill() -> None:
    signal.raise_signal(signal.SIGKILL)


def segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def exit_at_once() -> None:
    os._exit(1)


IN_TICK: dict[str, Callable[[], None]] = {
    "endless_loop": endless_loop,
    "loop_that_catches_everything": loop_that_catches_everything,
    "deep_recursion": deep_recursion,
    "ten_gigabytes": ten_gigabytes,
    "huge_regex": huge_regex,
    "raise_in_tick": raise_in_tick,
    "sigkill": sigkill,
    "segfault": segfault,
    "exit_at_once": exit_at_once,
}
"""What a saboteur does in its `tick`; the other faults need another hook, or a client. The last
three end the whole process, and are for zones that have one of their own."""


DEADLY = ("huge_regex", "sigkill", "segfault", "exit_at_once")
"""What no interpreter survives."""


class Saboteur(Entity):
    """Stands about, and does harm in the ticks that it was given."""

    faults: tuple[tuple[int, str], ...] = field((), to=NOBODY)
    """Ticks and names of faults. Nothing is written down about those that are over: a tick
    that is lost would take that back."""

    def tick(self, dt: float) -> None:
        now = tick()
        for at, fault in self.faults:
            if at != now:
                continue
            if fault == "raise_in_message":
                self.send(self.id, "provoke")
            elif fault == "raise_in_spawn":
                self.spawn(Stillborn, position=self.position)
            elif fault == "raise_in_despawn":
                self.spawn(Martyr, position=self.position)
            else:
                IN_TICK[fault]()

    def on_provoke(self, sender: int) -> None:
        raise_in_message()

    def on_restart(self) -> None:
        """Who has just brought its zone down doesn't even bear to hear of it."""
        for at, fault in self.faults:
            if fault in DEADLY and 0 < tick() - at < TICK_HZ:
                raise_in_restart()


class Stillborn(Entity):
    """Can't bear to begin, and ends in the tick after."""

    def on_spawn(self) -> None:
        raise_in_spawn()

    def tick(self, dt: float) -> None:
        self.despawn()


class Martyr(Entity):
    """Ends at once, and can't even do that."""

    def tick(self, dt: float) -> None:
        self.despawn()

    def on_despawn(self) -> None:
        raise_in_despawn()


def mislead(kind: Any, ticks: Collection[int]) -> None:
    """In each of these ticks the `command` of one client's entity fails, after it has done
    its work: that has to be taken back."""
    command = kind.command

    def command_and_fail(self: Entity, cmd: Command) -> None:
        command(self, cmd)
        now = tick()
        if now in ticks:
            led = [other.id for other in find(kind) if other.owner]
            if led[now % len(led)] == self.id:
                raise_in_command()

    kind.command = command_and_fail


def beside(
    start: Callable[[World], None], faults: Sequence[tuple[int, str]]
) -> Callable[[World], None]:
    """A mode's `start` that also puts saboteurs all over the map, and shares out the faults
    (ticks and names) among them in turn; but for those that the mode's own kinds commit."""
    ticks = {at for at, fault in faults if fault == "raise_in_command"}
    faults = [(at, fault) for at, fault in faults if fault != "raise_in_command"]
    for kind in Entity.__subclasses__():
        if "command" in vars(kind):
            mislead(kind, ticks)

    def start_with_saboteurs(world: World) -> None:
        start(world)
        columns = rows = int(SABOTEURS**0.5) + 1
        for number in range(SABOTEURS):
            x = (number % columns + 0.5) / columns * map_size()
            z = (number // columns + 0.5) / rows * map_size()
            world.spawn(
                Saboteur,
                position=Vec3(x, ground(x, z), z),
                faults=tuple(faults[number::SABOTEURS]),
            )

    return start_with_saboteurs
