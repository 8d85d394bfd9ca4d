"""Directions: yaw 0 looks along -z, positive pitch looks up, y is up."""

from math import atan2, cos, pi, sin, sqrt, tau

from tessera import Vec3


def forward(yaw: float, pitch: float) -> Vec3:
    """Unit vector of a look."""
    flat = cos(pitch)
    return Vec3(-sin(yaw) * flat, sin(pitch), -cos(yaw) * flat)


def scattered(yaw: float, pitch: float, radius: float, angle: float) -> Vec3:
    """Unit vector `radius` radians beside a look, in the direction `angle` around it."""
    # The look's own right and up vectors, so that the cone is round at any pitch.
    sy, cy, sp, cp = sin(yaw), cos(yaw), sin(pitch), cos(pitch)
    out, across = cos(radius), sin(radius)
    right, up = across * cos(angle), across * sin(angle)
    x = -sy * cp * out + cy * right + sy * sp * up
    y = sp * out + cp * up
    z = -cy * cp * out - sy * right + cy * sp * up
    # Rounding leaves the length a few ulp off one; a ray wants it normalised.
    scale = 1.0 / sqrt(x * x + y * y + z * z)
    return Vec3(x * scale, y * scale, z * scale)


def unit_between(a: Vec3, b: Vec3) -> tuple[Vec3, float]:
    """Unit vector from `a` to `b` and the distance; straight up where they coincide."""
    x, y, z = b.x - a.x, b.y - a.y, b.z - a.z
    distance = sqrt(x * x + y * y + z * z)
    if distance < 1e-9:
        return Vec3(0.0, 1.0, 0.0), 0.0
    return Vec3(x / distance, y / distance, z / distance), distance


def yaw_towards(dx: float, dz: float) -> float:
    """Yaw that looks along `(dx, dz)`."""
    return atan2(-dx, -dz)


def wrapped(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    if -pi <= angle < pi:
        return angle
    return (angle + pi) % tau - pi
