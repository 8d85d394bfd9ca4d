"""Entities: how a class statement becomes a kind."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from types import FunctionType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Never,
    NewType,
    TypeAliasType,
    Union,
    get_origin,
)

import _tessera
from _tessera import Command, DeclarationError, Vec3
from tessera._fields import (
    EVERYONE,
    NOBODY,
    Angle,
    Capsule,
    Field,
    FieldType,
    Projectile,
    Range,
    Walker,
)

_PLAIN: dict[object, str] = {
    bool: "bool",
    str: "str",
    bytes: "bytes",
    object: "object",
    Vec3: "vec3",
}
"""Annotations that say by themselves what a field holds."""

_CONTAINERS = (tuple, list, dict, set, frozenset)
"""Annotations of ``object`` fields, with or without types of their items."""

_CLONED = (None, type(None), bool, int, float, str, bytes, Vec3, object, *_CONTAINERS)
"""What may stand in a union that annotates an ``object`` field."""

_OF_CLASS = ("hitbox", "projectile", "walker")
"""What a class says of itself to the engine; with a type or without."""

_OF_PYTHON = ("__annotations__", "__dict__", "__match_args__", "__slots__")
"""What Python keeps in a class by itself, or reads when the class is made."""

_INSTEAD: dict[type, str] = {
    list: "a tuple",
    deque: "a tuple",
    set: "a frozenset",
    dict: "a types.MappingProxyType",
    bytearray: "bytes",
}
"""Types whose values change, and constants to write in their place."""

_PERMITTED = "bool, u8, u16, u32, i32, f32, f64, Vec3, ref, str, bytes, object"


class EntityType(type):
    """Makes a kind of each subclass of `Entity`: its declared fields become its only
    attributes."""

    _declared: dict[str, tuple[str, Field]]
    """The fields in order, inherited ones first: name to type and declaration."""

    _hash: int
    """Of the name, shared with the class of the views."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        **arguments: Any,
    ) -> "EntityType":
        inherited = [base for base in bases if isinstance(base, EntityType)]
        own = _take_fields(name, bases, namespace) if inherited else {}
        declared: dict[str, tuple[str, Field]] = {}
        for base in inherited:
            declared |= base._declared
        for field in own:
            if field in declared:
                raise DeclarationError(
                    f"{name}.{field}: a class it derives from declares {field} already"
                )
        namespace["_declared"] = declared | own
        namespace["_hash"] = hash((namespace["__module__"], namespace["__qualname__"]))
        namespace["__slots__"] = tuple(own)
        cls = super().__new__(mcls, name, bases, namespace, **arguments)
        if inherited and not _is_of_engine(cls):
            _register(cls)
            _hide_views(cls)
        return cls

    def __hash__(cls) -> int:
        """By name: an address would bring the order of sets, and so the state, down to
        where classes lie."""
        return cls._hash

    def __subclasses__(cls) -> list[Any]:
        """Those that were declared; the classes of views are the engine's own."""
        found: list[Any] = super().__subclasses__()
        return [sub for sub in found if "_declared" in vars(sub)]

    def __setattr__(cls, name: str, value: Any) -> None:
        if _loaded:
            _refuse_change(cls, name)
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        if _loaded:
            _refuse_change(cls, name)
        super().__delattr__(name)


_loaded = False
"""Whether all classes of the mode have been declared."""


def seal() -> None:
    """Lets no class of an entity be changed from now on. Called when the mode has been
    loaded, before the classes of its views are made."""
    global _loaded
    _loaded = True


def _refuse_change(cls: type, name: str) -> Never:
    raise AttributeError(
        f"{cls.__name__}.{name} can't be changed once the mode has loaded: each zone "
        f"has its own {cls.__name__}, and what it holds is lost. Keep it in a field of "
        f"an entity; what concerns the whole match, in one of the Match"
    )


def _hide_views(cls: EntityType) -> None:
    """Makes the `__init_subclass__` that is the class's own, or comes from a class that
    is no entity, run for what the mode declares and not for the class of the views."""
    owner = next(base for base in cls.__mro__ if "__init_subclass__" in vars(base))
    if owner is object or (owner is not cls and isinstance(owner, EntityType)):
        return
    hidden: Any = cls
    own = vars(cls).get("__init_subclass__")

    def init_subclass(sub: Any, /, **kwargs: Any) -> None:
        if _loaded:
            return
        if own is None:
            super(hidden, sub).__init_subclass__(**kwargs)
        else:
            own.__get__(None, sub)(**kwargs)

    hidden.__init_subclass__ = classmethod(init_subclass)


def _is_of_engine(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "tessera"


def _refuse_class(entity: object, cls: object) -> Never:
    raise AttributeError(
        f"{entity!r} can't become another kind: spawn one of that kind and despawn "
        f"this one"
    )


def _take_fields(
    name: str, bases: tuple[type, ...], namespace: dict[str, Any]
) -> dict[str, tuple[str, Field]]:
    """The declarations in a class body, which are taken out of it to make room for the
    slots."""
    if "__slots__" in namespace:
        raise DeclarationError(
            f"{name}: __slots__ are made of the declared fields; leave them out"
        )
    for maker in ("__init__", "__new__"):
        if maker in namespace:
            raise DeclarationError(
                f"{name}.{maker} would never run: entities are made by spawn(), which "
                f"sets the fields; give them defaults, or write on_spawn"
            )
    _check_constants(name, namespace)
    for mixin in _mixins(bases):
        _check_constants(mixin.__name__, vars(mixin))
    annotations = _annotations(name, namespace)
    fields = {}
    for attribute, value in namespace.items():
        if isinstance(value, Field) and attribute not in annotations:
            raise DeclarationError(
                f"{name}.{attribute} has no type: write {attribute}: <type> = "
                f"field(...), the type being one of {_PERMITTED}"
            )
    for attribute, annotation in annotations.items():
        where = f"{name}.{attribute}"
        value = namespace.get(attribute)
        if isinstance(value, Field):
            _check_name(where, attribute, bases)
            code = _code(where, annotation)
            fields[attribute] = (code, _complete(where, code, value))
            del namespace[attribute]
        elif not _is_constant(annotation) and (
            attribute not in namespace or attribute not in _OF_CLASS
        ):
            default = repr(value) if attribute in namespace else "<default>"
            raise DeclarationError(
                f"{where} isn't declared as a field: write {attribute}: "
                f"{_suggest(annotation, default)}, or ClassVar for a constant"
            )
    return fields


def _mixins(bases: tuple[type, ...]) -> Iterator[type]:
    """The classes among the bases, and theirs, that are no entities."""
    for base in bases:
        for cls in base.__mro__:
            if not isinstance(cls, EntityType) and cls is not _tessera.Entity:
                yield cls


def _check_constants(name: str, namespace: Mapping[str, Any]) -> None:
    """Refuses what the entities of one zone would share, and no others."""
    if "__del__" in namespace:
        raise DeclarationError(
            f"{name}.__del__ would run whenever an entity crosses into another zone, "
            f"not only at its end; write on_despawn"
        )
    shared = "which the entities of a zone would share and other zones wouldn't see"
    for attribute, value in namespace.items():
        instead = _instead(value)
        if instead is not None and attribute not in _OF_PYTHON:
            raise DeclarationError(
                f"{name}.{attribute} is a {type(value).__name__}, {shared}: write "
                f"{instead} for a constant, or declare a field"
            )
        for parameter, default in _defaults(value):
            instead = _instead(default)
            if instead is not None:
                raise DeclarationError(
                    f"{name}.{attribute}: the default of {parameter} is a "
                    f"{type(default).__name__}, {shared}: write {instead}, or None and "
                    f"make it in the function"
                )


def _instead(value: object) -> str | None:
    """What to write in the place of a value that can change."""
    found = (word for mutable, word in _INSTEAD.items() if isinstance(value, mutable))
    return next(found, None)


def _defaults(value: object) -> Iterator[tuple[str, object]]:
    """Parameters with defaults, of what functions something in a class body stands
    for."""
    if isinstance(value, (classmethod, staticmethod)):
        value = value.__func__
    parts: tuple[object, ...] = (value,)
    if isinstance(value, property):
        parts = (value.fget, value.fset, value.fdel)
    for part in parts:
        if isinstance(part, FunctionType):
            defaults = part.__defaults__ or ()
            names = part.__code__.co_varnames[: part.__code__.co_argcount]
            yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
            yield from (part.__kwdefaults__ or {}).items()


def _annotations(name: str, namespace: dict[str, Any]) -> dict[str, object]:
    # There already where they are postponed as text, and before 3.14.
    found: dict[str, object] = namespace.get("__annotations__", {})
    if sys.version_info >= (3, 14) and not found:
        import annotationlib

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            form = annotationlib.Format.VALUE
            found = annotationlib.call_annotate_function(annotate, form)
    module = sys.modules.get(namespace.get("__module__", ""))
    scope = {} if module is None else vars(module)
    return {
        key: _resolve(name, key, value, scope, namespace)
        for key, value in found.items()
    }


def _resolve(
    name: str,
    key: str,
    annotation: object,
    scope: dict[str, Any],
    namespace: dict[str, Any],
) -> object:
    """An annotation itself, where it was written or postponed as text."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, scope, dict(namespace))
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise DeclarationError(
            f"{name}.{key}: the type {annotation!r} isn't known: {error}"
        ) from None


def _is_constant(annotation: object) -> bool:
    origin = get_origin(annotation) or annotation
    return origin is ClassVar or origin is Final


def _marker(annotation: object) -> FieldType | None:
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, FieldType):
            return mark
    return None


def _check_name(where: str, attribute: str, bases: tuple[type, ...]) -> None:
    if attribute in ("position", "velocity", "yaw", "pitch", "owner"):
        raise DeclarationError(f"{where}: every entity has a field {attribute} already")
    if attribute.startswith("_"):
        raise DeclarationError(
            f"{where}: the name of a field can't begin with an underscore"
        )
    if any(attribute in vars(cls) for cls in (_tessera.Entity, Entity)):
        raise DeclarationError(
            f"{where}: every entity has something called {attribute} already; "
            f"choose another name"
        )


def _code(where: str, annotation: object) -> str:
    """The engine's name for the type that an annotation says."""
    while isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, NewType):
        return _code(where, annotation.__supertype__)
    marker = _marker(annotation)
    if marker is not None:
        return marker.code
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    if _is_cloned(annotation) and annotation not in (None, type(None), int, float):
        return "object"
    hint = ""
    if annotation is int:
        hint = ": an int needs a width, or ref for an entity"
    elif annotation is float:
        hint = ": f32 rounds to seven digits, f64 doesn't"
    elif isinstance(annotation, EntityType):
        hint = ": another entity is kept by its id, as a ref"
    raise DeclarationError(
        f"{where}: {_show(annotation)} can't be the type of a field{hint}; "
        f"one of {_PERMITTED}"
    )


def _is_cloned(annotation: object) -> bool:
    origin = get_origin(annotation)
    if origin is Union or origin is UnionType:
        return all(_is_cloned(part) for part in annotation.__args__)  # type: ignore[attr-defined]
    if origin is not None:
        return origin in _CONTAINERS or _marker(annotation) is not None
    if isinstance(annotation, type) and hasattr(annotation, "__total__"):
        return True  # a TypedDict, whose values are dicts
    return annotation in _CLONED


def _show(annotation: object) -> str:
    marker = _marker(annotation)
    if marker is not None:
        return marker.code
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation)


def _suggest(annotation: object, default: str) -> str:
    """The declaration that was probably meant."""
    if annotation in (str, bytes):
        return f"{_show(annotation)} = field({default}, max=32)"
    if isinstance(annotation, EntityType):
        return "ref = field(0)"
    widths = ((int, "i32"), (float, "f32"))
    found = (code for plain, code in widths if annotation is plain)
    code = next(found, _show(annotation))
    return f"{code} = field({default})"


def _complete(where: str, code: str, field: Field) -> Field:
    """Fills in what follows from the type, and refuses what doesn't go with it."""
    sized = code in ("str", "bytes")
    if sized and field.max is None:
        raise DeclarationError(
            f"{where}: {code} needs max=, the most bytes it can have"
        )
    if not sized and field.max is not None:
        raise DeclarationError(f"{where}: max= is for str and bytes, not for {code}")
    if field.to is None:
        field.to = NOBODY if code == "object" else EVERYONE
    return field


def _wire(wire: Range | Angle | None) -> tuple[Any, ...]:
    if isinstance(wire, Range):
        return ("range", wire.min, wire.max, wire.bits)
    if isinstance(wire, Angle):
        return ("angle", wire.bits)
    return ("exact",)


def _register(cls: EntityType) -> None:
    name = cls.__name__
    hitbox, projectile = getattr(cls, "hitbox", None), getattr(cls, "projectile", None)
    if hitbox is not None and not isinstance(hitbox, Capsule):
        raise DeclarationError(f"{name}.hitbox must be a Capsule(...), not {hitbox!r}")
    if projectile is not None and not isinstance(projectile, Projectile):
        raise DeclarationError(
            f"{name}.projectile must be a Projectile(...), not {projectile!r}"
        )
    walker = getattr(cls, "walker", None)
    if walker is not None and not isinstance(walker, Walker):
        raise DeclarationError(f"{name}.walker must be a Walker(...), not {walker!r}")
    fields = tuple(
        (
            key,
            code,
            field.max or 0,
            field.default,
            _wire(field.wire),
            (field.to or EVERYONE).code,
        )
        for key, (code, field) in cls._declared.items()
    )
    _tessera.register_kind(
        cls,
        fields,
        None if hitbox is None else (hitbox.radius, hitbox.height, hitbox.when),
        None if projectile is None else projectile.gravity,
        None if walker is None else (walker.rules, walker.when),
        issubclass(cls, Match),
    )


class Entity(_tessera.Entity, metaclass=EntityType):
    """Anything that lives in the match. Derive from it and declare fields; see the
    package's text.

    Every entity has ``position`` (for a character its feet), ``velocity``, ``yaw``,
    ``pitch`` and ``owner``: the number of the client that steers it, as ``on_join`` was
    given it, or 0.

    The engine calls, in each tick and in this order: ``on_<name>(sender, ...)`` for
    each message that was sent to the entity in the tick before, ``command(cmd)`` if a
    client steers it, ``tick(dt)``. If one raises, the entity's fields go back to what
    they were when the tick began, and what it sent in this tick is dropped.

    Of its own life an entity hears by ``on_spawn()``, ``on_restart()`` and
    ``on_despawn()``, which nobody can send.
    """

    hitbox: ClassVar[Capsule | None] = None
    """What shots hit of it, if anything."""

    projectile: ClassVar[Projectile | None] = None
    """Whether the engine moves it, and how."""

    walker: ClassVar[Walker | None] = None
    """How `tessera.walk` moves it, if it may."""

    if not TYPE_CHECKING:
        # Without a Python function to get it: `isinstance` asks for it.
        __class__ = property(type, _refuse_class)

    if TYPE_CHECKING:

        def tick(self, dt: float) -> None:
            """Called once a tick, after all messages. `dt` is seconds: 1 /
            `TICK_HZ`."""

        def command(self, cmd: Command) -> None:
            """Called once a tick, before `tick`, with what the client that steers it
            wants."""

        def on_spawn(self) -> None:
            """Called in the entity's first tick, before anything else."""

        def on_restart(self) -> None:
            """Called where the scripts that ran the entity had to be started anew, in
            its first tick from then on. Its fields are what they were; variables of
            modules are as after loading."""

        def on_despawn(self) -> None:
            """Called after all else in the tick in which the entity asked to despawn.
            It can still `send`, `spawn` and tell clients of events; what it writes to
            its own fields is lost. If it raises, what it asked for is dropped and the
            entity ends all the same."""


class Match(Entity):
    """The one entity that hears of clients. A mode derives one class from it and spawns
    it once."""

    if TYPE_CHECKING:

        def on_join(self, sender: int, client: int, name: str) -> None:
            """A client came. Spawn its player with ``owner=client``. `sender` is 0, the
            engine."""

        def on_leave(self, sender: int, client: int) -> None:
            """A client left. Its entities stay until they despawn themselves."""
