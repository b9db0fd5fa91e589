"""Errors of host sets."""

from __future__ import annotations

from server.errors.problem import USAGE, Problem

UNKNOWN = Problem(
    "unknown_set",
    422,
    3,
    USAGE,
    "the selector names a host set that does not exist",
    "correct the name, list the sets with 'clarion sets list', or write a host's name in quotes",
    ("选择表达式中有不存在的主机集", "改正名称；用 clarion sets list 查看全部主机集；主机名请加引号"),
)
CYCLE = Problem(
    "set_cycle",
    422,
    3,
    USAGE,
    "the host set would contain itself, or be nested too deep",
    "take one of the sets out of the selector; sets may be nested at most 8 deep",
    ("主机集会包含自身，或嵌套过深", "从选择表达式中去掉其中一个主机集；最多嵌套 8 层"),
)
NOT_FOUND = Problem(
    "set_not_found",
    404,
    5,
    USAGE,
    "there is no host set with this name",
    "list the host sets to find it",
    ("没有这个名称的主机集", "在主机集列表中查找"),
)
EXISTS = Problem(
    "set_exists",
    409,
    6,
    USAGE,
    "a host set with this name exists",
    "use another name, or change that set",
    ("已有这个名称的主机集", "换一个名称，或修改已有的主机集"),
)
IN_USE = Problem(
    "set_in_use",
    409,
    9,
    USAGE,
    "another host set uses this one",
    "change or delete the sets that use it first",
    ("另一个主机集在使用它", "先修改或删除使用它的主机集"),
)
