"""What the exit code of a command for people says. ``docs/command-line.md`` has the table."""

from typing import Final

DONE: Final = 0
REFUSED: Final = 1
"""The command itself is at fault: misspelt, malformed, not allowed, about something that is not there."""
REJECTED: Final = 3
"""A rule of the ledger refused it, and that is remembered under its key."""
CONFLICT: Final = 4
"""Somebody else was there first: another version, a key or an id that is taken. Nothing was done."""
UNKNOWN: Final = 5
"""It may have been done, or may yet be. The key makes it certain."""
UNAVAILABLE: Final = 6
"""Nothing was done, since the service or its database was not there. Later the same may work."""
INTERRUPTED: Final = 130

HELP: Final = """\b
Exit codes: 0 done; 1 refused, the command is at fault; 3 rejected by a rule; 4 conflict, somebody else was first;
5 nobody knows yet; 6 nothing was done, the service was away; 130 interrupted.
"""
