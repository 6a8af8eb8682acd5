"""The objects in the lists of a column: decoded once, for the judgement of their values and for every child's rows.

Objects are structs. A field is named after its member and type, so that a child finds its values in the structs of all
children that read the column, and in those that are made for it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Annotated, Any

import msgspec

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.coerce import coerced, float_of, is_of_kind
from airflow_provider_genesys.contracts.column import ColumnType

_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FAILURES = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
_NULL = b"null"

_TYPES: dict[ColumnType, Any] = {
    "string": str | None,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None,
    "boolean": bool | None,
    "timestamp": datetime | None,
}
"""Types whose values become what the decoder makes of them. Those of the others are read out of their text."""


def _of_kind(kind: ColumnType, text: bytes) -> Any:
    if not is_of_kind(kind, text):
        raise ValueError
    return coerced(kind, text)


_OF_TEXT: dict[ColumnType, Callable[[bytes], Any]] = {
    "number": lambda text: float_of(text.decode()),
    "decimal": partial(_of_kind, "decimal"),
    "uuid": partial(_of_kind, "uuid"),
}

Objects = Sequence[Any]
"""The objects of one list, as structs."""


class Listed(bytes):
    """The JSON text of a column, with the objects in it.

    :ivar objects: of the outermost list, by the name of each child that reads the column.
    """

    objects: Mapping[str, Objects]

    @classmethod
    def of(cls, text: bytes | msgspec.Raw, objects: Mapping[str, Objects]) -> Listed:
        """Return ``text`` with its ``objects``."""
        listed = cls(text)
        listed.objects = objects
        return listed


def name_of_member(kind: ColumnType, member: str) -> str:
    """Return the field of a struct that holds a member's value as ``kind``."""
    return f"{kind}_{member.encode().hex()}"


def name_of_list(name: str) -> str:
    """Return the field of a struct that holds the objects of an inner list."""
    return f"list_{name.encode().hex()}"


@dataclass
class _Level:
    """What children read from the objects of one list."""

    members: dict[tuple[ColumnType, str], None] = field(default_factory=dict)  # in their order, as they mostly come
    lists: dict[str, _Level] = field(default_factory=dict)

    @property
    def is_apart(self) -> bool:
        """Whether no member is read in two ways."""
        names = [*(member for _, member in self.members), *self.lists]
        return len({*names}) == len(names) and all(level.is_apart for level in self.lists.values())

    def make(self) -> _Made:
        """Return the struct of such objects."""
        inner = {name: level.make() for name, level in self.lists.items()}
        fields: list[Any] = [(name_of_member(*one), _TYPES.get(one[0], msgspec.Raw), None) for one in self.members]
        fields += [(name_of_list(name), tuple[made.struct, ...] | None, None) for name, made in inner.items()]  # type: ignore[name-defined]  # made here
        names = {name_of_member(*one): one[1] for one in self.members} | {name_of_list(name): name for name in inner}
        rename = names if self.is_apart else None
        struct = msgspec.defstruct("Object", fields, rename=rename, gc=False)
        read = [(name_of_member(*one), _OF_TEXT[one[0]]) for one in self.members if one[0] in _OF_TEXT]
        return _Made(struct, list(self.members), read, inner)


@dataclass(frozen=True)
class _Made:
    """The struct of the objects of one list. The values of the fields ``read`` are decoded as their text."""

    struct: Any
    members: list[tuple[ColumnType, str]]
    read: list[tuple[str, Callable[[bytes], Any]]]
    lists: Mapping[str, _Made]

    @property
    def reads(self) -> bool:
        return bool(self.read) or any(made.reads for made in self.lists.values())

    def finish(self, objects: Objects) -> None:
        """Read what is decoded as text."""
        for name, read in self.read:
            for one in objects:
                text = bytes(getattr(one, name) or _NULL)
                setattr(one, name, None if text == _NULL else read(text))
        for name, made in self.lists.items():
            inner = name_of_list(name)
            made.finish(list(chain.from_iterable(getattr(one, inner) or () for one in objects)))

    def by_value(self, text: bytes) -> Objects:
        """Return the objects in the list ``text``, each value as well as it can be read."""
        items = map(bytes, _list.decode(text)) if text.lstrip().startswith(b"[") else ()
        return [self._object(_members.decode(item)) for item in items if item.startswith(b"{")]

    def _object(self, members: Mapping[str, msgspec.Raw]) -> Any:
        found = self.struct()
        for kind, member in self.members:
            setattr(found, name_of_member(kind, member), _value(kind, members.get(member)))
        for name, made in self.lists.items():
            setattr(found, name_of_list(name), made.by_value(bytes(members.get(name, _NULL))))
        return found


def _value(kind: ColumnType, value: msgspec.Raw | None) -> Any:
    text = _NULL if value is None else bytes(value)
    try:
        return None if text == _NULL else coerced(kind, text)
    except ValueError:
        return None


class ObjectReader:
    """Reads the objects in one column.

    :param children: that read it.
    """

    def __init__(self, children: Iterable[Child]) -> None:
        self.children = list(children)
        self.names = [child.name for child in self.children]
        top = _level(self.children)
        self._made = top.make()
        self._decoder = msgspec.json.Decoder(tuple[self._made.struct, ...]) if top.is_apart else None  # type: ignore[name-defined]  # made here
        self._reads = self._made.reads

    def exact(self, text: bytes | msgspec.Raw) -> Objects | None:
        """Return the objects in ``text`` if each value has its column's type; else None, or if that is not certain.

        Of a time at the edges of the calendar, it is not sure whether it has a year in UTC.
        """
        if self._decoder is None:
            return None
        try:
            objects: Objects = self._decoder.decode(text)
            if self._reads:
                self._made.finish(objects)
        except _FAILURES:
            return None
        return objects

    def read(self, text: bytes) -> Objects:
        """Return the objects in ``text``. What cannot be read as its column's type is None, as it was judged."""
        found = self.exact(text)
        return self._made.by_value(text) if found is None else found


def readers(children: Iterable[Child]) -> list[ObjectReader]:
    """Return what reads the objects of one column's ``children``: one, unless they read a member in two ways."""
    groups: list[list[Child]] = []
    for child in children:
        fitting = (group for group in groups if _level([*group, child]).is_apart)
        group = next(fitting, None)
        if group is None:
            groups.append([child])
        else:
            group.append(child)
    return list(map(ObjectReader, groups))


def _level(children: Sequence[Child]) -> _Level:
    top = _Level()
    for child in children:
        levels = [top]
        for name in child.lists:
            levels.append(levels[-1].lists.setdefault(name, _Level()))
        for column in child.columns:
            up, member = column.place
            levels[-1 - up].members[column.type, member] = None
    return top
