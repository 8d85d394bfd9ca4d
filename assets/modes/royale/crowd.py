"""Where people are, as counts in squares: cheap to ask many times in one tick."""

from collections.abc import Iterable
from math import floor

from tessera import Vec3

#: Side of a square, metres. Whoever is in the same square or one beside it is near.
_SQUARE = 48.0


def _square(at: Vec3) -> tuple[int, int]:
    return floor(at.x / _SQUARE), floor(at.z / _SQUARE)


class Crowd:
    """How many are where."""

    def __init__(self, places: Iterable[Vec3] = ()) -> None:
        self._counts: dict[tuple[int, int], int] = {}
        for at in places:
            self.add(at)

    def add(self, at: Vec3) -> None:
        """One more is there."""
        square = _square(at)
        self._counts[square] = self._counts.get(square, 0) + 1

    def near(self, at: Vec3) -> int:
        """How many are near a place: all within 48 m, none beyond 136 m."""
        counts = self._counts
        x, z = _square(at)
        return sum(
            counts.get((x + i, z + j), 0) for i in (-1, 0, 1) for j in (-1, 0, 1)
        )
