"""Tensors of PyTorch's ZIP archives, TorchScript included, read as data: no class is built and no code is run.

An archive holds ``data.pkl``, a pickle of containers and objects, and one entry of raw bytes per storage. The pickle is
read by a small interpreter of its opcodes. A class remains a name, an object the attributes it was given, and calls
other than those that make tensors and dictionaries return an object without content.
"""

import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from w2l.core.errors import CheckpointError

MAX_PICKLE_BYTES = 64 * 2**20
"""Largest ``data.pkl`` that is read; that of a public generator has 70 kB."""
MAX_DEPTH, MAX_VALUES = 64, 200_000
"""Deepest nesting of containers, and most values in them, of a valid checkpoint."""
CONTAINERS_OF_MODULES = ("_modules", "_parameters", "_buffers")
"""Attributes of a pickled module that are not part of its tensors' names."""
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError,
    AttributeError, OverflowError, MemoryError, NotImplementedError,
)  # fmt: skip
"""Exceptions that reading a truncated or modified archive can raise."""


@dataclass(frozen=True)
class _Global:
    """The name of a class or function; it is never imported."""

    module: str
    name: str


@dataclass
class _Object:
    """An instance of a class that is not built."""

    made_of: Any
    state: Any = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    """Location of the numbers of tensors."""

    dtype: torch.dtype
    entry: str
    n_elements: int


@dataclass(frozen=True)
class _View:
    """A tensor that has not been read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Archive:
    """A PyTorch archive: the location of its entries, and whether it is TorchScript."""

    root: str
    is_script: bool
    is_frozen: bool
    """Whether the tensors of a TorchScript archive lost their names (torch.jit.freeze)."""


def find_archive(path: Path) -> Archive | None:
    """Return the archive in the ZIP file at `path`; None if it is not PyTorch's or its list of entries is damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
    except DAMAGED:
        return None
    pickles = sorted((name for name in names if name.split("/")[1:] == ["data.pkl"]), key=len)
    if not pickles:
        return None
    root = pickles[0].removesuffix("data.pkl")
    is_script = f"{root}constants.pkl" in names
    has_tensors = any(name.startswith((f"{root}data/", f"{root}tensors/")) for name in names)
    return Archive(root, is_script, is_script and not has_tensors)


def read_tensors(path: Path, archive: Archive) -> dict[str, Tensor]:
    """Return all tensors of an archive by their dotted names.

    Raises CheckpointError for an archive that is truncated or modified, or whose sizes are contradictory.
    """
    try:
        with zipfile.ZipFile(path) as file:
            views = dict(_named(_unpickled(_entry(file, f"{archive.root}data.pkl", MAX_PICKLE_BYTES))))
            _check_sizes(file, archive, views.values())
            storages: dict[str, Tensor] = {}
            return {name: _tensor(file, archive, view, storages) for name, view in views.items()}
    except DAMAGED as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"model {path} is damaged or truncated ({said}); copy or create it again") from error


def _entry(file: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return an entry of the archive of at most `limit` bytes."""
    found = file.getinfo(name)
    if found.file_size > limit:
        raise ValueError(f"{name} has {found.file_size} bytes, more than {limit}")
    return file.read(found)


def _check_sizes(file: zipfile.ZipFile, archive: Archive, views: Iterable[_View]) -> None:
    """Raise ValueError for storages that are larger than the file, before any is read."""
    entries = {view.storage.entry: view.storage for view in views}
    for name, storage in entries.items():
        found = file.getinfo(f"{archive.root}data/{name}")
        if found.compress_type != zipfile.ZIP_STORED or found.file_size != storage.n_elements * storage.dtype.itemsize:
            raise ValueError(f"data/{name} has {found.file_size} bytes, not {storage.n_elements} {storage.dtype}")
    total = sum(storage.n_elements * storage.dtype.itemsize for storage in entries.values())
    if file.fp is not None and total > file.fp.seek(0, 2):
        raise ValueError(f"its tensors have {total} bytes, more than the file")
    order = f"{archive.root}byteorder"
    if order in file.namelist() and _entry(file, order, 16) != b"little":
        raise ValueError("its numbers are big-endian; save it on another machine")


def _tensor(file: zipfile.ZipFile, archive: Archive, view: _View, storages: dict[str, Tensor]) -> Tensor:
    """Return the tensor of a view; storages are read once."""
    storage = view.storage
    if storage.entry not in storages:
        content = bytearray(file.read(f"{archive.root}data/{storage.entry}"))
        empty = torch.empty(0, dtype=storage.dtype)
        storages[storage.entry] = torch.frombuffer(content, dtype=storage.dtype) if content else empty
    n_elements = math.prod(view.shape)
    last = sum((length - 1) * stride for length, stride in zip(view.shape, view.strides))
    if min((view.offset, *view.shape, *view.strides)) < 0 or len(view.shape) != len(view.strides):
        raise ValueError(f"a tensor of shape {view.shape} and strides {view.strides} is not valid")
    if n_elements and (view.offset + last >= storage.n_elements or n_elements > storage.n_elements):
        raise ValueError(f"a tensor of shape {view.shape} is larger than its storage")
    return torch.as_strided(storages[storage.entry], view.shape, view.strides, view.offset if n_elements else 0)


def _named(root: Any) -> Iterator[tuple[str, _View]]:
    """Yield all tensors in a value, each with its dotted name."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), root)]
    n_seen = 0
    while waiting:
        name, value = waiting.pop()
        n_seen += 1
        if n_seen > MAX_VALUES or len(name) > MAX_DEPTH:
            raise ValueError("its containers are nested too deeply or contain each other")
        while isinstance(value, _Object):
            value = value.state
        if isinstance(value, _View):
            yield ".".join(name), value
        elif isinstance(value, dict):
            parts = ((str(key), item) for key, item in reversed(value.items()))
            waiting += [(name if key in CONTAINERS_OF_MODULES else (*name, key), item) for key, item in parts]


def _unpickled(content: bytes) -> Any:
    """Return the value of a pickle; see the module docstring."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name == "STOP":
            return stack.pop()
        if name in _PUSHED:
            stack.append(_PUSHED[name]() if _PUSHED[name] is not None else argument)  # type: ignore[misc]
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            items = since_mark()
            stack.append(items if name == "LIST" else tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            items = [stack.pop() for _ in range(int(name[-1]))]
            stack.append(tuple(reversed(items)))
        elif name == "DICT":
            stack.append(_paired(since_mark()))
        elif name in ("APPENDS", "ADDITEMS", "SETITEMS"):
            _filled(stack, name, since_mark())
        elif name in ("APPEND", "SETITEM"):
            items = [stack.pop() for _ in range(1 if name == "APPEND" else 2)]
            _filled(stack, f"{name}S", items[::-1])
        elif name in _MAKERS:
            _MAKERS[name](stack, argument)
        elif name in ("POP", "DUP"):
            stack.append(stack[-1]) if name == "DUP" else stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"its pickle contains {name}, which no checkpoint needs")
    raise EOFError("its pickle has no end")


def _paired(items: list[Any]) -> dict[Any, Any]:
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _key(key: Any) -> Any:
    """Return a key unchanged if it is hashable, else as text."""
    return key if isinstance(key, (str, int, float, bytes, type(None))) else repr(key)[:80]


def _filled(stack: list[Any], name: str, items: list[Any]) -> None:
    """Put items into the container on the stack; ignore other objects."""
    target = stack[-1]
    while isinstance(target, _Object):
        target = target.state
    if name == "SETITEMS" and isinstance(target, dict):
        target.update(_paired(items))
    elif name != "SETITEMS" and isinstance(target, list):
        target.extend(items)


def _global(stack: list[Any], argument: Any) -> None:
    module, _, name = str(argument).partition(" ")
    stack.append(_Global(module, name))


def _stack_global(stack: list[Any], _: Any) -> None:
    name, module = stack.pop(), stack.pop()
    stack.append(_Global(str(module), str(name)))


def _new(stack: list[Any], _: Any) -> None:
    stack.pop()
    stack.append(_Object(stack.pop()))


def _new_with_names(stack: list[Any], _: Any) -> None:
    stack.pop()
    _new(stack, None)


def _build(stack: list[Any], _: Any) -> None:
    state, made = stack.pop(), stack[-1]
    if isinstance(made, _Object) and isinstance(state, dict):
        made.state = state


def _reduce(stack: list[Any], _: Any) -> None:
    arguments, function = stack.pop(), stack.pop()
    stack.append(_called(function, arguments))


def _called(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Global) or not isinstance(arguments, tuple):
        return _Object(function)
    if function == _Global("torch._utils", "_rebuild_tensor_v2") and isinstance(arguments[0], _Storage):
        storage, offset, shape, strides = arguments[:4]
        return _View(storage, _whole(offset), tuple(map(_whole, shape)), tuple(map(_whole, strides)))
    if function == _Global("torch._utils", "_rebuild_parameter"):
        return arguments[0]
    if function == _Global("collections", "OrderedDict"):
        return {}
    return _Object(function)


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise ValueError(f"a tensor has a size {str(number)[:40]!r}, which is not a whole number")
    return number


def _persistent(stack: list[Any], _: Any) -> None:
    """Return a storage: ("storage", its class, entry, device, number of elements)."""
    told = stack.pop()
    if not (isinstance(told, tuple) and len(told) >= 5 and isinstance(told[1], _Global)):
        raise ValueError("its pickle names storages in a way unknown to PyTorch")
    if told[1].name not in STORAGES:
        raise ValueError(f"its tensors are of {told[1].name}, which w2l does not support")
    stack.append(_Storage(STORAGES[told[1].name], str(told[2]), _whole(told[4])))


_PUSHED: dict[str, Callable[[], Any] | None] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_DICT": dict,
    **dict.fromkeys(
        (
            "INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
            "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8",
            "SHORT_BINBYTES",
        )
    ),
}  # fmt: skip
"""Opcodes that push a value: the function that makes it, or None for their argument."""
_MAKERS: dict[str, Callable[[list[Any], Any], None]] = {
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "NEWOBJ": _new,
    "NEWOBJ_EX": _new_with_names,
    "BUILD": _build,
    "REDUCE": _reduce,
    "BINPERSID": _persistent,
}
