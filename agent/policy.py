"""Rules about commands that this host refuses: a local file that the server cannot change.

run_as = ["deploy", "www-data"]   # users that commands may run as; default: any user that the agent may become
shell = false                     # allow only argv, no shell text and no scripts; default: true
"""

from __future__ import annotations

import functools
import os
import pwd
import stat
import tomllib
from pathlib import Path

import msgspec

from agent.core.events import Refusal
from agent.errors import BadSettings
from agent.shim.records import Spec


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of this host.

    Attributes:
        run_as: Allowed users, or None for no restriction. A command without a user runs as the agent's own user, which
            must then be in the list too.
        shell: False if only argv is allowed.
    """

    run_as: list[str] | None = None
    shell: bool = True

    def refusal(self, spec: Spec) -> Refusal | None:
        """Return why the command must not run here, or None."""
        if not self.shell and spec.argv is None:
            return Refusal("refused", "this host's policy allows argv only, no shell text and no scripts")
        own = _own_user()
        user = spec.run_as or own
        if self.run_as is not None and user not in self.run_as:
            return Refusal("refused", f"this host's policy does not allow commands to run as {user!r}")
        if user != own and os.geteuid() != 0:
            return Refusal("refused", f"the agent runs as {own!r} and may not become {user!r}")
        return None


def load(path: Path | None) -> Policy:
    """Return the policy in this file; without a file there are no restrictions.

    Raises:
        BadSettings: The file cannot be read, is writable for other users, or is not valid.
    """
    if path is None:
        return Policy()
    try:
        status = path.stat()
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_uid not in (0, os.geteuid()):
            raise BadSettings(
                f"policy_file {path}: users other than its owner may change it", f"chown root {path}; chmod go-w {path}"
            )
        return msgspec.convert(tomllib.loads(path.read_text()), Policy)
    except OSError as error:
        raise BadSettings(
            f"policy_file {path}: {error.strerror}", "make the file readable for the agent's user"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadSettings(
            f"policy_file {path}: {error}", "allowed are run_as (a list of user names) and shell (true or false)"
        ) from error


@functools.cache
def _own_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
