"""Serves a service that lacks a mechanism: ``python -m tests.torture.broken <flaw>``, with the usual settings."""

import sys

from entrypoints import cli, composition
from tests.torture.flaws import FLAWS

if __name__ == "__main__":
    # The name of what makes the application is what reaches the workers.
    composition.application = FLAWS[sys.argv[1]]
    cli.main(["serve"])
