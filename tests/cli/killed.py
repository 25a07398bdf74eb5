"""Runs ``wallet export`` or ``wallet import`` again and again, until it comes to its end.

Each run but the last is killed (SIGKILL) where it is about to do, or has just done, something that lasts: a write to
the file, a statement, a COMMIT. Arguments: a seed, how many transactions a portion has, the command.
Prints how often it was killed, and ends with the command's exit code.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from adapters.postgres.session import Session
from entrypoints import transfer_export, transfer_import
from entrypoints.cli import main

STEPS_MAX: Final = 40
"""How many steps a run survives at most. A portion of an import has some ten."""
KILLS_MAX: Final = 60


def _die_at(step: int) -> Callable[[], None]:
    left = [step]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def _count_steps(count: Callable[[], None]) -> None:
    put, write, commit = transfer_export.Writer._put, Session.write, Session.commit

    def counted_put(self: Any, *arguments: Any, **options: Any) -> None:
        count()
        put(self, *arguments, **options)
        count()

    async def counted_write(self: Any, *arguments: Any) -> int:
        count()
        return await write(self, *arguments)

    async def counted_commit(self: Any) -> None:
        count()
        await commit(self)
        count()

    transfer_export.Writer._put = counted_put  # type: ignore[method-assign] # so that each write is a step
    Session.write = counted_write  # type: ignore[method-assign,assignment] # likewise
    Session.commit = counted_commit  # type: ignore[method-assign] # likewise


def _run(words: list[str], step: int) -> int:
    """Run it in a process of its own. Returns its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        _count_steps(_die_at(step))
        code = 1
        try:
            main(words, prog_name="wallet")
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _until_done(seed: str, words: list[str]) -> tuple[int, int]:
    chance = random.Random(int(seed))
    for kills in range(KILLS_MAX):
        code = _run(words, chance.randint(1, STEPS_MAX))
        if code != -signal.SIGKILL:
            return kills, code
    raise RuntimeError("it never comes to its end")


if __name__ == "__main__":
    _seed, _portion, *_words = sys.argv[1:]
    for _module in (transfer_export, transfer_import):
        vars(_module)["PORTION"] = int(_portion)
    vars(transfer_import)["WAITING_MAX"] = 2 * int(_portion)
    _kills, _code = _until_done(_seed, _words)
    sys.stdout.write(f"{_kills}\n")
    sys.exit(_code)
