"""How a body moves: walking, sprinting, jumping, falling and hanging from a canopy.

Works on the player whose hook is running, and writes that player's fields only.
"""

from math import cos, hypot, sin
from typing import TYPE_CHECKING

from tessera import CROUCH, JUMP, SPRINT, Vec3, is_free, move

from . import rules

if TYPE_CHECKING:
    from .player import Player


def walk(player: "Player", dt: float) -> float:
    """One step of a living player; gives the speed of a hard landing in m/s, else 0."""
    buttons = player.buttons
    velocity = player.velocity
    grounded = player.grounded
    want_x, want_z = player.wish_x, player.wish_z
    vx, vy, vz = velocity.x, velocity.y, velocity.z
    resting = grounded and want_x == 0.0 and want_z == 0.0 and vx == 0.0 and vz == 0.0
    if resting and not buttons & (JUMP | CROUCH) and not player.crouched:
        # The map doesn't move either, so whoever stands stays; half of a match does.
        return 0.0

    _crouch(player, buttons)
    if player.gliding:
        speed, acceleration = rules.GLIDE_SPEED, rules.AIR_ACCELERATION
    else:
        speed = rules.WALK_SPEED
        if player.crouched:
            speed = rules.CROUCH_SPEED
        elif buttons & SPRINT and want_z < -0.5:
            speed = rules.SPRINT_SPEED
        acceleration = rules.GROUND_ACCELERATION if grounded else rules.AIR_ACCELERATION

    # From the body's frame (+x right, -z ahead) to the world's.
    yaw = player.yaw
    s, c = sin(yaw), cos(yaw)
    gap_x = (want_x * c + want_z * s) * speed - vx
    gap_z = (want_z * c - want_x * s) * speed - vz
    gap = hypot(gap_x, gap_z)
    step = acceleration * dt
    if gap > step:
        gap_x, gap_z = gap_x * step / gap, gap_z * step / gap
    vx += gap_x
    vz += gap_z

    if player.gliding:
        vy = max(vy - rules.GRAVITY * dt, -rules.GLIDE_SINK)
    elif grounded and buttons & JUMP and not player.crouched:
        vy = rules.JUMP_SPEED
    else:
        vy -= rules.GRAVITY * dt

    height = rules.CROUCHED_HEIGHT if player.crouched else rules.HEIGHT
    player.position, player.velocity, lands = move(
        player.position, Vec3(vx, vy, vz), dt, rules.RADIUS, height
    )
    player.grounded = lands
    if not lands or grounded:
        return 0.0
    if player.gliding:
        player.gliding = False
        return 0.0
    return max(0.0, -vy)


def _crouch(player: "Player", buttons: int) -> None:
    if buttons & CROUCH:
        player.crouched = True
    elif player.crouched and is_free(player.position, rules.RADIUS, rules.HEIGHT):
        player.crouched = False
