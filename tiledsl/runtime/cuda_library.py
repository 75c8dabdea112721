"""Building a CUDA kernel's library once, and calling its launcher."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tiledsl.backends.backend import cache_directory
from tiledsl.gpu.program import Program
from tiledsl.runtime.errors import DeviceError
from tiledsl.runtime.evaluate import Number
from tiledsl.types import DType

_C_TYPES: dict[DType, Any] = {
    DType.BOOL: ctypes.c_bool, DType.I8: ctypes.c_int8, DType.I16: ctypes.c_int16,
    DType.I4: ctypes.c_int8, DType.U4: ctypes.c_uint8,
    DType.I32: ctypes.c_int32, DType.I64: ctypes.c_int64, DType.U8: ctypes.c_uint8,
    DType.U16: ctypes.c_uint16, DType.U32: ctypes.c_uint32, DType.F64: ctypes.c_double,
}  # fmt: skip


def build(name: str, files: Mapping[str, str], command: Sequence[str], kind: str) -> ctypes.CDLL:
    """Return the library that ``command`` makes of ``files``; it is made once and kept.

    ``command`` runs in a folder with the files; it is given ``-o`` and the library's name.
    """
    parts = [*command, *(f"{file}\0{text}" for file, text in sorted(files.items()))]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return _built(name, key, tuple(sorted(files.items())), tuple(command), kind)


@cache
def _built(
    name: str, key: str, files: tuple[tuple[str, str], ...], command: tuple[str, ...], kind: str
) -> ctypes.CDLL:
    folder = cache_directory(kind)
    kept = folder / f"{name}-{key}.so" if folder else None
    if kept is not None and kept.exists():
        return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for file, text in files:
            Path(work, file).write_text(text, encoding="utf-8")
        made = Path(work, "library.so")
        if shutil.which(command[0]) is None:
            raise DeviceError(f"{command[0]} is needed to build {name}, and is not on the PATH")
        done = subprocess.run(
            [*command, "-o", made.name], cwd=work, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DeviceError(f"{command[0]} failed on {name}:\n{done.stderr or done.stdout}")
        if kept is None:
            return ctypes.CDLL(str(made))
        os.replace(made, kept)
    return ctypes.CDLL(str(kept))


def call(
    library: ctypes.CDLL,
    entry: str,
    program: Program,
    pointers: Mapping[str, int | None],
    dims: Mapping[str, int],
    scalars: Mapping[str, Number],
    last: object,
) -> int:
    """Call the launcher ``entry`` with addresses, sizes and scalars; return its code."""
    arguments: list[object] = [ctypes.c_void_p(pointers[t.tensor.name]) for t in program.tensors]
    arguments += [ctypes.c_int64(dims[name]) for name, _ in program.dims]
    for param, _ in program.scalars:
        kind = _C_TYPES.get(param.dtype, ctypes.c_float)
        arguments.append(kind(scalars[param.name]))
    return int(library[entry](*arguments, last))


def explain(library: ctypes.CDLL, program: Program, code: int) -> str:
    """Return what a launcher's code means."""
    message = library[f"tiledsl_{program.name}_message"]
    message.restype = ctypes.c_char_p
    text = message(code)
    return text.decode() if isinstance(text, bytes) and text else f"code {code}"
