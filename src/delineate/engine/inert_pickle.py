"""Reads a pickle without running it: its instructions are walked through, only data comes out.

A pickle is a small program, and some of its instructions import and call whatever the file names.
Here nothing is imported and nothing is called: a name stays a name, a call becomes an `Inert` that
holds the name and the arguments, and a few names of plain containers and tensors, listed in
`CALLS`, are understood. `pickletools` of the standard library splits the bytes into instructions.
What a pickle can grow to is bounded by its length: values are shared, never multiplied.
"""

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, Any

__all__ = ["Inert", "Storage", "StoredTensor", "read_pickle", "read_with_storages"]


@dataclass(slots=True, eq=False)
class Inert:
    """Something that is no plain data: what the file calls it and says about it, never built."""

    name: str
    """Module and name, such as torch.nn.modules.conv.Conv2d."""
    arguments: tuple[Any, ...] | None = None
    """What it would have been called with; None for the bare name."""
    state: Any = None
    """What would have been set on it afterwards."""
    entries: list[Any] = field(default_factory=list)
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the numbers of tensors lie in the file."""

    kind: str
    """The type of the numbers, such as FloatStorage."""
    key: str
    begin: int = 0
    """How many of its numbers come before the first that is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor that is described in the pickle; its numbers are still in the file."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    kind: str | None = None
    """The type of its numbers where the storage has bytes only, such as torch.uint16."""


class _Machine:
    """The stack and the memory that the instructions of a pickle work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memory: dict[int, Any] = {}
        self.kinds: dict[str, str] = {}
        self.made = 0
        """How many values the calls have copied."""

    def pop(self, count: int) -> list[Any]:
        """The topmost values, lowest first."""
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def since_mark(self) -> list[Any]:
        """The values above the last mark, which is removed."""
        taken, self.stack = self.stack, self.below.pop()
        return taken


def read_pickle(stream: IO[bytes]) -> Any:
    """The data of the pickle that begins here; the stream then stands behind it.

    What is not plain data comes out as an Inert. Anything malformed is a ValueError.
    """
    return read_with_storages(stream)[0]


def read_with_storages(stream: IO[bytes]) -> tuple[Any, dict[str, str]]:
    """The data, and the kind of every storage that the pickle mentions, by its key."""
    machine = _Machine()
    try:
        for opcode, argument, position in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.pop(1)[0], machine.kinds
            _step(machine, opcode.name, argument)
            if opcode.name in _CALLING:
                _count(machine, position)
    except (AttributeError, LookupError, RecursionError, TypeError, UnicodeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    raise ValueError("it has no end")


def _step(machine: _Machine, name: str, argument: Any) -> None:
    """Carry out one instruction."""
    stack = machine.stack
    if name in _CONSTANTS:
        stack.append(argument)
    elif name in _MAKE:
        arity, make = _MAKE[name]
        stack.append(make(*machine.pop(arity)))
    elif name in _GATHER:
        values = machine.since_mark()
        machine.stack.append(_GATHER[name](values))
    elif name in _ADD:
        count, add = _ADD[name]
        values = machine.pop(count) if count else machine.since_mark()
        add(machine.stack[-1], values)
    elif name == "BINPERSID":
        (saved,) = machine.pop(1)
        stack.append(_persistent(saved, machine.kinds))
    elif name in ("GLOBAL", "INST"):
        _name(machine, name, argument)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        machine.memory[len(machine.memory) if argument is None else argument] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(machine.memory[argument])
    elif name == "BUILD":
        (state,) = machine.pop(1)
        _set_state(stack[-1], state)
    elif name == "MARK":
        machine.below.append(stack)
        machine.stack = []
    elif name in ("POP", "POP_MARK", "DUP"):
        _shuffle(machine, name)
    elif name not in ("PROTO", "FRAME"):
        raise ValueError(f"the instruction {name} is not understood")


def _count(machine: _Machine, position: int | None) -> None:
    """A call of a few bytes may copy a long list: what is written once is copied once."""
    last = machine.stack[-1]
    machine.made += (
        len(last) if isinstance(last, list | tuple | dict | set | frozenset | bytes) else 0
    )
    if machine.made > (position or 0):
        raise ValueError("it makes more than it holds")


def _named(*words: Any) -> Inert:
    """The bare name; other values are not spelt out, since each may hold another twice."""
    if not all(isinstance(word, str) for word in words) or sum(map(len, words)) > _LONGEST:
        raise ValueError("a name that is no short text")
    return Inert(".".join(words))


def _name(machine: _Machine, opcode: str, argument: str) -> None:
    """GLOBAL and INST carry 'module name' in the instruction itself."""
    named = _named(argument.replace(" ", "."))
    if opcode == "INST":
        named = _call(named, tuple(machine.since_mark()))
    machine.stack.append(named)


def _shuffle(machine: _Machine, opcode: str) -> None:
    if opcode == "DUP":
        machine.stack.append(machine.stack[-1])
    elif opcode == "POP_MARK" or not machine.stack:
        machine.since_mark()
    else:
        machine.pop(1)


def _call(function: Any, arguments: Any, keywords: Any = None) -> Any:
    """What a call stands for: plain data if `CALLS` knows the name, else an Inert."""
    if not isinstance(function, Inert) or not isinstance(arguments, tuple):
        raise ValueError("a call of something that has no name")
    known = CALLS.get(function.name)
    if known is None or function.arguments is not None:
        return Inert(function.name, arguments, state=keywords)
    return known(*arguments)


def _set_state(target: Any, state: Any) -> None:
    """Note the state of an Inert; tensors and containers have no state that matters here."""
    if isinstance(target, Inert):
        target.state = state


def _append(target: Any, values: list[Any]) -> None:
    entries = target.entries if isinstance(target, Inert) else target
    entries.update(_keys(values)) if isinstance(entries, set) else entries.extend(values)


def _set_items(target: Any, values: list[Any]) -> None:
    items = target.items if isinstance(target, Inert) else target
    items.update(_pairs(values))


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(_keys(values[::2]), values[1::2], strict=True))


def _keys(values: Iterable[Any]) -> list[Any]:
    """Values for a set or a dictionary: to hash tuples of tuples could take for ever."""
    keys = list(values)
    if any(isinstance(part, tuple) for key in keys if isinstance(key, tuple) for part in key):
        raise ValueError("a key of nested tuples")
    return keys


def _persistent(saved: Any, kinds: dict[str, str]) -> Any:
    """What lies outside the pickle: storages of tensors, and sources of classes (not read)."""
    what, *rest = saved
    if what == "module":
        return rest[0]
    if what != "storage":
        raise ValueError("a reference that is not understood")
    kind, key, _location, _size, *view = rest
    if not isinstance(key, str | int):
        raise ValueError("a storage without a name")
    begin = view[0][1] if view and view[0] is not None else 0
    kinds[str(key)] = kind.name.rpartition(".")[2]
    return Storage(kind=kinds[str(key)], key=str(key), begin=int(begin))


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if not all(isinstance(number, int) for number in (offset, *size, *stride)):
        raise ValueError("a tensor whose size is no numbers")
    # The third version names the type of the numbers after grad and hooks.
    kind = rest[2].name if len(rest) > 2 and isinstance(rest[2], Inert) else None
    return StoredTensor(
        storage=storage, offset=offset, size=tuple(size), stride=tuple(stride), kind=kind
    )


def _subclass(function: Inert, _kind: Any, arguments: tuple[Any, ...], _state: Any) -> Any:
    """A tensor of a class of its own (MONAI's MetaTensor) is read as a plain tensor."""
    return _call(function, arguments)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise ValueError("a text in another encoding")
    return text.encode(encoding)


def _empty_bytes() -> bytes:
    """How protocol 2 writes them; `bytes` of a number could be of any size."""
    return b""


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    return dict(zip(_keys(keys), values, strict=True))


def _default(_factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    return _ordered(pairs)


def _set(members: Iterable[Any] = ()) -> set[Any]:
    return set(_keys(members))


def _frozenset(members: Iterable[Any] = ()) -> frozenset[Any]:
    return frozenset(_keys(members))


def _reconstruct(kind: Inert, *_: Any) -> Inert:
    """How the oldest pickles make an object of a class."""
    return Inert(kind.name, ())


def _first(value: Any, *_: Any) -> Any:
    return value


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "collections.Counter": _ordered,
    "collections.defaultdict": _default,
    "_codecs.encode": _encode,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
    "copyreg._reconstructor": _reconstruct,
    "copy_reg._reconstructor": _reconstruct,
    "torch.Size": _first,
    "torch.device": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _subclass,
} | {
    f"{module}.{name}": make
    for module in ("builtins", "__builtin__")
    for name, make in (
        *(("set", _set), ("frozenset", _frozenset), ("dict", _ordered)),
        *(("list", list), ("tuple", tuple)),
    )
}
"""The calls that are understood; each makes plain data from plain data."""

_LONGEST = 300
"""Letters in the name of a class or a function."""
_CALLING = {"REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_MAKE: dict[str, tuple[int, Callable[..., Any]]] = {
    "NONE": (0, lambda: None),
    "NEWTRUE": (0, lambda: True),
    "NEWFALSE": (0, lambda: False),
    "EMPTY_LIST": (0, list),
    "EMPTY_TUPLE": (0, tuple),
    "EMPTY_DICT": (0, dict),
    "EMPTY_SET": (0, set),
    "TUPLE1": (1, lambda *values: values),
    "TUPLE2": (2, lambda *values: values),
    "TUPLE3": (3, lambda *values: values),
    "STACK_GLOBAL": (2, _named),
    "REDUCE": (2, _call),
    "NEWOBJ": (2, _call),
    "NEWOBJ_EX": (3, _call),
}
_GATHER: dict[str, Callable[[list[Any]], Any]] = {
    "LIST": list,
    "TUPLE": tuple,
    "DICT": _pairs,
    "FROZENSET": _frozenset,
    "OBJ": lambda values: _call(values[0], tuple(values[1:])),
}
_ADD: dict[str, tuple[int, Callable[[Any, list[Any]], None]]] = {
    "APPEND": (1, _append),
    "SETITEM": (2, _set_items),
    "APPENDS": (0, _append),
    "ADDITEMS": (0, _append),
    "SETITEMS": (0, _set_items),
}
"""How many values to add to what lies below them; 0 takes all since the mark."""
