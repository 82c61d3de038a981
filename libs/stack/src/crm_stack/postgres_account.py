"""Under which account PostgreSQL runs.

PostgreSQL refuses to run as root. An ordinary user simply runs it. Root hands it to `nobody`, without touching the
rights of any folder above the data:
where those folders (a home directory of mode 0700, say) keep `nobody` out, the process keeps exactly one capability
of root's, reading and passing
through folders, as an ambient capability.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

_ACCOUNT = "nobody"
# By preference: the first only reads, the second (all that ordinary containers grant) would also write.
_CAPABILITIES = (("dac_read_search", 2), ("dac_override", 1))


class NoAccountForPostgres(Exception):
    """Root cannot hand PostgreSQL to an unprivileged account here; the text says what to do."""


@dataclass(frozen=True)
class PostgresAccount:
    """How to start a PostgreSQL program: `prefix` goes before its command; files it owns are given to `uid`/`gid`
    (None: they are ours already)."""

    prefix: tuple[str, ...]
    uid: int | None
    gid: int | None

    def give(self, path: Path) -> None:
        """Make the account owner of `path`."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def account_for(folders: tuple[Path, ...], death_signal: int | None) -> PostgresAccount:
    """The account that runs PostgreSQL's programs, which must reach `folders`.

    Raises:
        NoAccountForPostgres: we are root, and `setpriv`, the account or the needed capability is missing.
    """
    if os.geteuid() != 0:
        return PostgresAccount((), None, None)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise NoAccountForPostgres(
            "As root, PostgreSQL needs `setpriv`: install util-linux, or run as an ordinary user."
        )
    try:
        account = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise NoAccountForPostgres(
            f"As root, PostgreSQL needs the account '{_ACCOUNT}': create it, or run as an ordinary user."
        ) from None
    reachable = all(_open_to_all(folder) for folder in folders)
    rights = "-all" if reachable else f"-all,+{_capability()}"
    command = [
        setpriv,
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        f"--inh-caps={rights}",
        f"--ambient-caps={rights}",
        "--no-new-privs",
    ]
    if death_signal is not None:
        # The kernel forgets the death signal when the user changes, so setpriv sets it after the change.
        command.append(f"--pdeathsig={signal.Signals(death_signal).name.removeprefix('SIG')}")
    return PostgresAccount((*command, "--"), account.pw_uid, account.pw_gid)


def _open_to_all(folder: Path) -> bool:
    """Whether everybody may pass through every folder down to this one."""
    resolved = folder.resolve()
    return all(step.stat().st_mode & 0o001 for step in (resolved, *resolved.parents))


def _capability() -> str:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    for name, bit in _CAPABILITIES:
        if held >> bit & 1:
            return name
    raise NoAccountForPostgres(
        "As root without the capability to read through closed folders, PostgreSQL cannot reach its data: "
        "put the data in a folder that everybody may enter, or run as an ordinary user."
    )
