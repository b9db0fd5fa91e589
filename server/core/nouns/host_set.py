"""A host set: a name for hosts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostSet:
    """A name for hosts, written `@name` in selectors. It is either a selector or a list of host ids.

    Attributes:
        name: Lower-case letters, digits and hyphens, beginning with a letter.
        selector: The selector; empty for a list.
        hosts: The host ids of a list.
        description: For people.
        version: 1 for a new set; each change raises it.
        changed_by: The operator of the last change.
        changed_at: When it last changed.
    """

    name: str
    selector: str
    hosts: tuple[str, ...]
    description: str
    version: int
    changed_by: str
    changed_at: int
