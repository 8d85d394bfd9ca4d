"""Makes a battle royale map from a seed: `assets/maps/<name>.toml` and its heights.

    python3 scripts/make_map.py --name island --seed 7

An island of 1 km²: hills, villages on terraces, woods, rocks and field walls, with places to start and to loot. Python 3.11
or newer, standard library only. The format is described in `sim/world/src/map.rs`; coordinates are metres, y is up.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SIZE = 1000.0
CELL = 4.0
SAMPLES = int(SIZE / CELL) + 1
BASE = -2.0
STEP = 0.002

HILL_HEIGHT = 62.0
SHORE = 100.0

VILLAGES = 12
VILLAGE_DISTANCE_MIN = 165.0
VILLAGE_BLEND = 45.0

WALL = 0.3
STOREY = 3.0
ROOF = 0.2
DOOR_WIDTH = 1.8
DOOR_HEIGHT = 2.4
WINDOW_WIDTH = 1.6
WINDOW = (1.0, 2.2)
FOUNDATION = 0.6
STAIR_RISE = 0.32
STAIR_RUN = 0.4
STAIR_WIDTH = 1.2

SPAWN_POINTS = 120
LOOT_POINTS = 400
PLAYER_HEIGHT = 1.8


class Dice:
    """Random numbers from `random()` alone: its sequence is the same in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def below(self, n: int) -> int:
        return int(self._random.random() * n)


@dataclass(frozen=True)
class Box:
    """A solid box: middle, half extents, turn about +y."""

    kind: str
    x: float
    y: float
    z: float
    hx: float
    hy: float
    hz: float
    yaw: float

    def distance(self, x: float, z: float) -> float:
        """Metres from a point to the box, seen from above; 0 inside."""
        dx, dz = x - self.x, z - self.z
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        beyond_x = max(abs(dx * cos - dz * sin) - self.hx, 0.0)
        beyond_z = max(abs(dx * sin + dz * cos) - self.hz, 0.0)
        return math.sqrt(beyond_x**2 + beyond_z**2)

    def to_toml(self) -> str:
        at = f"[{self.x:.2f}, {self.y:.2f}, {self.z:.2f}]"
        half = f"[{self.hx:.2f}, {self.hy:.2f}, {self.hz:.2f}]"
        return f'{{ kind = "{self.kind}", at = {at}, half = {half}, yaw = {self.yaw:.3f} }}'


@dataclass(frozen=True)
class Frame:
    """A place and a direction: local x and z to the map's."""

    x: float
    z: float
    yaw: float

    def point(self, x: float, z: float) -> tuple[float, float]:
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + x * cos + z * sin, self.z + z * cos - x * sin


@dataclass(frozen=True)
class Opening:
    """A door or a window in a wall: its middle along the wall, width, and from where to where it is open."""

    at: float
    width: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Village:
    x: float
    z: float
    radius: float
    yaw: float
    level: float


@dataclass
class House:
    frame: Frame
    width: float
    depth: float
    stairs: bool
    rooms: list[tuple[float, float, float, float]] = field(default_factory=list)
    """The rooms in the house's frame: least x, greatest x, least z, greatest z."""

    def reach(self) -> float:
        """The radius of a circle around the house and its stairs."""
        return math.hypot(
            self.width / 2 + (STAIR_WIDTH + 1.0 if self.stairs else 0.6),
            self.depth / 2 + 0.6,
        )


def smoothstep(low: float, high: float, value: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


class Noise:
    """Smooth noise in about [-1, 1] over the plane, one bump a unit."""

    def __init__(self, dice: Dice) -> None:
        self._lattice = [dice.uniform(-1.0, 1.0) for _ in range(4096)]

    def at(self, x: float, z: float) -> float:
        ix, iz = math.floor(x), math.floor(z)
        u, v = smoothstep(0, 1, x - ix), smoothstep(0, 1, z - iz)
        corner = [
            self._lattice[(ix + i) % 64 + (iz + j) % 64 * 64]
            for j in (0, 1)
            for i in (0, 1)
        ]
        low = corner[0] + (corner[1] - corner[0]) * u
        return low + (corner[2] + (corner[3] - corner[2]) * u - low) * v

    def fractal(self, x: float, z: float, wavelength: float, octaves: int) -> float:
        total, weight = 0.0, 1.0
        for octave in range(octaves):
            # Each octave is shifted, so that their lattices don't line up.
            total += weight * self.at(
                x / wavelength + 17.3 * octave, z / wavelength + 5.7 * octave
            )
            wavelength, weight = wavelength / 2.0, weight * 0.42
        return total


class Terrain:
    """The heights, and the same two triangles a cell as the game's."""

    def __init__(self, dice: Dice) -> None:
        noise = Noise(dice)
        self.heights = [
            self._height(noise, ix * CELL, iz * CELL)
            for iz in range(SAMPLES)
            for ix in range(SAMPLES)
        ]

    @staticmethod
    def _height(noise: Noise, x: float, z: float) -> float:
        """Broad hills with rolling country between them, down to a beach on all sides."""
        broad = smoothstep(-0.75, 1.05, noise.fractal(x, z, 230.0, 4))
        rolling = 2.5 * noise.fractal(x + 500.0, z, 60.0, 3)
        wiggle_x, wiggle_z = (
            22.0 * noise.at(x / 85.0 + 11.0 * i, z / 85.0 + 31.0) for i in (1, 2)
        )
        edges = (x + wiggle_x, SIZE - x + wiggle_x, z + wiggle_z, SIZE - z + wiggle_z)
        inland, upland = (
            math.prod(smoothstep(0.0, reach, edge) for edge in edges)
            for reach in (SHORE, 2.2 * SHORE)
        )
        return inland * (4.0 + rolling) + upland * HILL_HEIGHT * broad

    def terrace(self, village: Village) -> None:
        for index, height in enumerate(self.heights):
            x, z = index % SAMPLES * CELL, index // SAMPLES * CELL
            distance = math.hypot(x - village.x, z - village.z)
            if distance < village.radius + VILLAGE_BLEND:
                weight = 1.0 - smoothstep(
                    village.radius, village.radius + VILLAGE_BLEND, distance
                )
                self.heights[index] = height + (village.level - height) * weight

    def quantize(self) -> list[int]:
        """Rounds the heights to what the file can say, and returns that."""
        samples = [
            min(max(round((height - BASE) / STEP), 0), 65535) for height in self.heights
        ]
        self.heights = [BASE + STEP * sample for sample in samples]
        return samples

    def ground(self, x: float, z: float) -> float:
        ix, iz = (min(int(c / CELL), SAMPLES - 2) for c in (x, z))
        u, v = x / CELL - ix, z / CELL - iz
        at = iz * SAMPLES + ix
        h00, h10, h01, h11 = (
            self.heights[i] for i in (at, at + 1, at + SAMPLES, at + SAMPLES + 1)
        )
        return h00 + (
            (h10 - h00) * u + (h11 - h10) * v
            if u >= v
            else (h11 - h01) * u + (h01 - h00) * v
        )

    def slope(self, x: float, z: float, reach: float = 3.0) -> float:
        """Rise over run, about a point."""
        dx = self.ground(min(x + reach, SIZE), z) - self.ground(max(x - reach, 0.0), z)
        dz = self.ground(x, min(z + reach, SIZE)) - self.ground(x, max(z - reach, 0.0))
        return math.hypot(dx, dz) / (2.0 * reach)


class Map:
    """The map in the making."""

    GRID = 20.0

    def __init__(self, seed: int) -> None:
        self.dice = Dice(seed)
        self.terrain = Terrain(self.dice)
        self.villages: list[Village] = []
        self.houses: list[House] = []
        self.boxes: list[Box] = []
        self.spawn_points: list[tuple[float, float]] = []
        self.loot_points: list[tuple[float, float]] = []
        self._near: dict[tuple[int, int], list[Box]] = {}

        self._found_villages()
        self.samples = self.terrain.quantize()
        for village in self.villages:
            self._build_village(village)
        self._plant_woods()
        self._strew_rocks()
        self._draw_field_walls()
        self._choose_spawn_points()
        self._choose_loot_points()

    # -- what is where

    def add(self, box: Box) -> None:
        self.boxes.append(box)
        reach = math.hypot(box.hx, box.hz)
        for cell in self._cells(box.x, box.z, reach):
            self._near.setdefault(cell, []).append(box)

    def free(self, x: float, z: float, radius: float) -> bool:
        """Whether a player's cylinder of this radius has room on the ground."""
        ground = self.terrain.ground(x, z)
        return not any(
            box.distance(x, z) < radius
            and box.y - box.hy < ground + PLAYER_HEIGHT
            and box.y + box.hy > ground
            for cell in self._cells(x, z, radius)
            for box in self._near.get(cell, [])
        )

    def in_village(self, x: float, z: float, margin: float) -> bool:
        return any(
            math.hypot(x - v.x, z - v.z) < v.radius + margin for v in self.villages
        )

    def _cells(self, x: float, z: float, reach: float) -> Iterator[tuple[int, int]]:
        for ix in range(
            int((x - reach) // self.GRID), int((x + reach) // self.GRID) + 1
        ):
            for iz in range(
                int((z - reach) // self.GRID), int((z + reach) // self.GRID) + 1
            ):
                yield ix, iz

    def _somewhere(self, margin: float) -> tuple[float, float]:
        return self.dice.uniform(margin, SIZE - margin), self.dice.uniform(
            margin, SIZE - margin
        )

    # -- villages

    def _found_villages(self) -> None:
        """Each on the flattest of some places that keep the distance from those before."""
        while len(self.villages) < VILLAGES:
            radius = (
                self.dice.uniform(50.0, 60.0)
                if len(self.villages) < 5
                else self.dice.uniform(36.0, 46.0)
            )
            places = [self._somewhere(135.0) for _ in range(60)]
            places = [
                (x, z)
                for x, z in places
                if all(
                    math.hypot(x - v.x, z - v.z) > VILLAGE_DISTANCE_MIN
                    for v in self.villages
                )
            ]
            if not places:
                continue
            x, z = min(
                places,
                key=lambda place: self.terrain.slope(place[0], place[1], reach=radius),
            )
            around = [
                (x + radius * 0.6 * i, z + radius * 0.6 * j)
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            level = sum(self.terrain.ground(*point) for point in around) / len(around)
            village = Village(x, z, radius, self.dice.uniform(-math.pi, math.pi), level)
            self.terrain.terrace(village)
            self.villages.append(village)

    def _build_village(self, village: Village) -> None:
        """Houses in rows along a street, their doors towards it, and crates between them."""
        street = Frame(village.x, village.z, village.yaw)
        built: list[House] = []
        for row in (-2, -1, 1, 2):
            along = -village.radius
            while along < village.radius:
                width, depth = self.dice.uniform(6.5, 12.5), self.dice.uniform(6.0, 9.0)
                side = 1.0 if row > 0 else -1.0
                off = side * (
                    5.0
                    + depth / 2
                    + (abs(row) - 1) * 17.0
                    + self.dice.uniform(0.0, 2.5)
                )
                x, z = street.point(along + width / 2, off)
                along += width + self.dice.uniform(3.5, 8.0)
                yaw = (
                    village.yaw
                    + (math.pi if row > 0 else 0.0)
                    + self.dice.uniform(-0.06, 0.06)
                )
                yaw = math.remainder(yaw, 2.0 * math.pi)
                house = House(
                    Frame(x, z, yaw), width, depth, stairs=self.dice.chance(0.2)
                )
                far = (
                    math.hypot(x - village.x, z - village.z) + house.reach()
                    > village.radius + 4.0
                )
                crowded = any(
                    math.hypot(x - other.frame.x, z - other.frame.z)
                    < 0.86 * (house.reach() + other.reach())
                    for other in built
                )
                if far or crowded or self.dice.chance(0.38):
                    continue
                self._build_house(house, village.level)
                built.append(house)
        self.houses += built
        self._drop_crates(village)

    def _build_house(self, house: House, level: float) -> None:
        width, depth, dice = house.width, house.depth, self.dice
        front = [
            Opening(dice.uniform(-0.25, 0.1) * width, DOOR_WIDTH, 0.0, DOOR_HEIGHT)
        ]
        if width > 8.0:
            front.append(Opening(0.34 * width, WINDOW_WIDTH, *WINDOW))
        if dice.chance(0.5):
            back = [
                Opening(dice.uniform(-0.2, 0.2) * width, DOOR_WIDTH, 0.0, DOOR_HEIGHT)
            ]
        else:
            back = [
                Opening(side * 0.25 * width, WINDOW_WIDTH, *WINDOW) for side in (-1, 1)
            ]
        side = [Opening(dice.uniform(-0.15, 0.15) * depth, WINDOW_WIDTH, *WINDOW)]

        frame = house.frame
        across = (depth - WALL) / 2
        self._wall(frame, level, (0.0, across), width, along_x=True, openings=front)
        self._wall(frame, level, (0.0, -across), width, along_x=True, openings=back)
        inner = depth - 2 * WALL
        for sign in (-1, 1):
            self._wall(
                frame,
                level,
                (sign * (width - WALL) / 2, 0.0),
                inner,
                along_x=False,
                openings=side,
            )

        half_x, half_z = width / 2 - WALL, depth / 2 - WALL
        if width > 10.0:
            at = dice.uniform(0.15, 0.25) * width
            door = [
                Opening(dice.uniform(-0.2, 0.2) * inner, DOOR_WIDTH, 0.0, DOOR_HEIGHT)
            ]
            self._wall(frame, level, (at, 0.0), inner, along_x=False, openings=door)
            house.rooms = [
                (-half_x, at - WALL / 2, -half_z, half_z),
                (at + WALL / 2, half_x, -half_z, half_z),
            ]
        else:
            house.rooms = [(-half_x, half_x, -half_z, half_z)]

        if house.stairs or dice.chance(0.85):
            roof = (width / 2 + 0.3, ROOF / 2, depth / 2 + 0.3)
            self._place(frame, "roof", (0.0, level + STOREY + ROOF / 2, 0.0), roof)
        if house.stairs:
            self._stairs(house, level)

    def _wall(
        self,
        frame: Frame,
        level: float,
        middle: tuple[float, float],
        length: float,
        *,
        along_x: bool,
        openings: list[Opening],
    ) -> None:
        """A wall with openings: what is between them, and what is above and below each."""

        def piece(begin: float, end: float, bottom: float, top: float) -> None:
            if end - begin < 0.05:
                return
            offset, half = (begin + end) / 2, (end - begin) / 2
            x, z = (
                (middle[0] + offset, middle[1])
                if along_x
                else (middle[0], middle[1] + offset)
            )
            hx, hz = (half, WALL / 2) if along_x else (WALL / 2, half)
            self._place(
                frame,
                "wall",
                (x, level + (bottom + top) / 2, z),
                (hx, (top - bottom) / 2, hz),
            )

        at = -length / 2
        for opening in sorted(openings, key=lambda opening: opening.at):
            begin, end = opening.at - opening.width / 2, opening.at + opening.width / 2
            piece(at, begin, -FOUNDATION, STOREY)
            piece(begin, end, opening.top, STOREY)
            if opening.bottom > 0.0:
                piece(begin, end, -FOUNDATION, opening.bottom)
            at = end
        piece(at, length / 2, -FOUNDATION, STOREY)

    def _stairs(self, house: House, level: float) -> None:
        """A flight along the side of the house up to its roof."""
        steps = math.ceil((STOREY + ROOF) / STAIR_RISE - 1e-9)
        x = house.width / 2 + 0.3 + STAIR_WIDTH / 2
        for step in range(steps):
            top = (step + 1) * STAIR_RISE
            z = (step - (steps - 1) / 2) * STAIR_RUN
            half = (STAIR_WIDTH / 2, (top + FOUNDATION) / 2, STAIR_RUN / 2)
            self._place(
                house.frame, "stair", (x, level + (top - FOUNDATION) / 2, z), half
            )

    def _place(
        self,
        frame: Frame,
        kind: str,
        at: tuple[float, float, float],
        half: tuple[float, float, float],
    ) -> None:
        x, z = frame.point(at[0], at[2])
        self.add(Box(kind, x, at[1], z, *half, frame.yaw))

    def _drop_crates(self, village: Village) -> None:
        wanted = int(village.radius / 4.0)
        for _ in range(12 * wanted):
            if wanted == 0:
                return
            distance, angle = (
                village.radius * self.dice.uniform(0.0, 1.0),
                self.dice.uniform(-math.pi, math.pi),
            )
            x, z = (
                village.x + distance * math.cos(angle),
                village.z + distance * math.sin(angle),
            )
            half = self.dice.uniform(0.45, 0.75)
            # Room to pass between the crate and whatever stands there, so that no door is shut.
            if not self.free(x, z, half * 1.5 + 1.6):
                continue
            wanted -= 1
            self._crate(x, z, half)
            if self.dice.chance(0.3):
                top, small = self.terrain.ground(x, z) + 2.0 * half - 0.05, half * 0.75
                self.add(Box("crate", x, top + small, z, small, small, small, 0.3))
            if self.dice.chance(0.4):
                self._crate(x + half * 2.2, z + half * 0.4, half * 0.8)

    def _crate(self, x: float, z: float, half: float) -> None:
        y = self.terrain.ground(x, z) + half - 0.05
        self.add(Box("crate", x, y, z, half, half, half, self.dice.uniform(-1.5, 1.5)))

    # -- the country between

    def _plant_woods(self) -> None:
        density = Noise(self.dice)
        for _ in range(9000):
            x, z = self._somewhere(30.0)
            wooded = density.at(x / 95.0, z / 95.0) > 0.3
            if not (wooded or self.dice.chance(0.02)) or self.in_village(x, z, 6.0):
                continue
            if (
                self.terrain.ground(x, z) > 3.0
                and self.terrain.slope(x, z) < 0.7
                and self.free(x, z, 4.2)
            ):
                radius, height = (
                    self.dice.uniform(0.18, 0.35),
                    self.dice.uniform(5.0, 8.5),
                )
                y = self.terrain.ground(x, z) + height / 2 - 0.5
                self.add(
                    Box(
                        "tree",
                        x,
                        y,
                        z,
                        radius,
                        height / 2,
                        radius,
                        self.dice.uniform(-0.78, 0.78),
                    )
                )

    def _strew_rocks(self) -> None:
        for _ in range(230):
            x, z = self._somewhere(25.0)
            if self.in_village(x, z, 4.0):
                continue
            for _ in range(1 + self.dice.below(3)):
                hx, hy, hz = (
                    self.dice.uniform(*span)
                    for span in ((0.6, 2.4), (0.7, 1.7), (0.6, 2.0))
                )
                if self.free(x, z, max(hx, hz) + 1.5):
                    y = self.terrain.ground(x, z) + hy * 0.4
                    self.add(
                        Box("rock", x, y, z, hx, hy, hz, self.dice.uniform(-1.5, 1.5))
                    )
                x, z = (
                    x + self.dice.uniform(-7.0, 7.0),
                    z + self.dice.uniform(-7.0, 7.0),
                )

    def _draw_field_walls(self) -> None:
        for _ in range(90):
            x, z = self._somewhere(60.0)
            yaw, pieces = self.dice.uniform(-math.pi, math.pi), 2 + self.dice.below(5)
            line = Frame(x, z, yaw)
            for piece in range(pieces):
                x, z = line.point(piece * 4.0, 0.0)
                if self.dice.chance(0.15) or self.in_village(x, z, 8.0):
                    continue
                ends = [
                    self.terrain.ground(*line.point(piece * 4.0 + end, 0.0))
                    for end in (-2.0, 2.0)
                ]
                if abs(ends[0] - ends[1]) < 1.2 and self.free(
                    *line.point(piece * 4.0, 0.0), 2.9
                ):
                    bottom, top = min(ends) - 0.4, max(ends) + 0.95
                    self.add(
                        Box(
                            "wall",
                            x,
                            (bottom + top) / 2,
                            z,
                            1.5,
                            (top - bottom) / 2,
                            0.2,
                            yaw,
                        )
                    )

    # -- points

    def _choose_spawn_points(self) -> None:
        while len(self.spawn_points) < SPAWN_POINTS:
            x, z = self._somewhere(45.0)
            apart = all(math.hypot(x - a, z - b) > 58.0 for a, b in self.spawn_points)
            if apart and self.terrain.slope(x, z) < 0.4 and self.free(x, z, 2.0):
                self.spawn_points.append((round(x, 2), round(z, 2)))

    def _choose_loot_points(self) -> None:
        """In every room, then in the villages' streets, then out in the country."""
        for house in self.houses:
            for x0, x1, z0, z1 in house.rooms:
                for _ in range(2 if (x1 - x0) * (z1 - z0) > 45.0 else 1):
                    for _ in range(20):
                        local = (
                            self.dice.uniform(x0 + 0.8, x1 - 0.8),
                            self.dice.uniform(z0 + 0.8, z1 - 0.8),
                        )
                        if self._loot(*house.frame.point(*local)):
                            break
        streets = len(self.loot_points) + (LOOT_POINTS - len(self.loot_points)) // 2
        while len(self.loot_points) < streets:
            village = self.villages[self.dice.below(len(self.villages))]
            angle, distance = (
                self.dice.uniform(-math.pi, math.pi),
                self.dice.uniform(0.0, village.radius),
            )
            self._loot(
                village.x + distance * math.cos(angle),
                village.z + distance * math.sin(angle),
            )
        while len(self.loot_points) < LOOT_POINTS:
            self._loot(*self._somewhere(45.0))

    def _loot(self, x: float, z: float) -> bool:
        apart = all(math.hypot(x - a, z - b) > 2.0 for a, b in self.loot_points)
        good = apart and self.terrain.slope(x, z) < 0.6 and self.free(x, z, 0.7)
        if good:
            self.loot_points.append((round(x, 2), round(z, 2)))
        return good


def write(made: Map, folder: Path, name: str, seed: int) -> None:
    def rows(items: list[str]) -> str:
        return "".join(f"  {item},\n" for item in items)

    def points(listed: list[tuple[float, float]]) -> str:
        return rows(
            [
                ", ".join(f"[{x:.2f}, {z:.2f}]" for x, z in listed[i : i + 6])
                for i in range(0, len(listed), 6)
            ]
        )

    text = (
        f"# Made by `scripts/make_map.py --name {name} --seed {seed}`: change that, not this.\n"
        "# Metres, y up; the format is described in sim/world/src/map.rs.\n"
        "format = 1\n"
        f'name = "{name}"\n'
        f"size = {SIZE}\n"
        f'terrain = {{ heights = "{name}.heights", cell = {CELL}, base = {BASE}, step = {STEP} }}\n\n'
        f"spawn_points = [\n{points(made.spawn_points)}]\n\n"
        f"loot_points = [\n{points(made.loot_points)}]\n\n"
        f"boxes = [\n{rows([box.to_toml() for box in made.boxes])}]\n"
    )
    (folder / f"{name}.toml").write_text(text, encoding="utf-8", newline="\n")
    header = b"TSHEIGHT" + struct.pack("<I", SAMPLES)
    (folder / f"{name}.heights").write_bytes(
        header + struct.pack(f"<{SAMPLES**2}H", *made.samples)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--name", default="island", help="the map's name (default: %(default)s)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=7,
        help="equal seeds make equal maps (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("assets/maps"),
        help="the folder (default: %(default)s)",
    )
    args = parser.parse_args()
    made = Map(args.seed)
    write(made, args.out, args.name, args.seed)
    low, high = min(made.terrain.heights), max(made.terrain.heights)
    print(
        f"{args.name}: {len(made.villages)} villages, {len(made.houses)} houses, {len(made.boxes)} boxes, heights {low:.0f} "
        f"to {high:.0f} m, {len(made.spawn_points)} spawn points, {len(made.loot_points)} loot points"
    )


if __name__ == "__main__":
    main()
