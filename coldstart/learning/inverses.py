"""The inverse of a symmetric positive definite matrix, found while other threads go on.

It takes a second for a few thousand rows, and SciPy's own call of LAPACK holds Python's lock all that time: no request
would be answered meanwhile. The same routines, called through SciPy's table of them for Cython, don't.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_lapack

_LOWER = b"L"


def inverse(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inverse of a symmetric positive definite matrix, by Cholesky's factors.

    Args:
        matrix: May be overwritten. Shape: ``(rows, rows)``.

    Raises:
        LinAlgError: It isn't positive definite in single precision.
    """
    if not len(matrix):
        return matrix
    held = np.asfortranarray(matrix, np.float32)
    for routine in ("spotrf", "spotri"):
        if _run(routine, held):
            raise np.linalg.LinAlgError("not positive definite in single precision: raise the penalty")
    found = np.tril(held)
    found += np.tril(held, -1).T
    return np.ascontiguousarray(found)


def _run(routine: str, matrix: NDArray[np.float32]) -> int:
    """Run a LAPACK routine on the lower half of a matrix in Fortran's order; return 0 if all went well."""
    rows, failed = ctypes.c_int(len(matrix)), ctypes.c_int(0)
    _routine(routine)(_LOWER, rows, matrix.ctypes.data, rows, failed)
    return failed.value


@cache
def _routine(name: str) -> Any:
    """Return a routine that takes a half, a size, a matrix, its leading dimension and where to tell of failure."""
    capsule, api = cython_lapack.__pyx_capi__[name], ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    number = ctypes.POINTER(ctypes.c_int)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, number, ctypes.c_void_p, number, number)
    return kind(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))
