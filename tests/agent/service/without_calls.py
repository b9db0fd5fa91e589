"""Runs a program on a kernel that lacks some system calls: `without_calls.py ERRNO NUMBER[,NUMBER…] PROGRAM…`.

A seccomp filter answers these calls with the error, in the program and in everything that it starts, as an older kernel
or the profile of a container would.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def filter_of(error: int, numbers: list[int]) -> bytes:
    """The filter as a program of classic BPF: load the number, compare it with each, return."""
    lines = [(LOAD_WORD, 0, 0, 0)]
    lines += [(JUMP_IF_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    lines += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | error)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def main() -> None:
    error, numbers, program = int(sys.argv[1]), [int(text) for text in sys.argv[2].split(",")], sys.argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    code = filter_of(error, numbers)
    loaded = Program(len(code) // 8, code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
