"""``wallet completion``: what a shell has to read to complete the words of ``wallet``."""

import click
from click.shell_completion import get_completion_class

from entrypoints.people.desk import Command

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_WALLET_COMPLETE"


@click.command(cls=Command, epilog="""\b
To install it:
  bash   wallet completion bash >> ~/.bashrc
  zsh    wallet completion zsh >> ~/.zshrc
  fish   wallet completion fish > ~/.config/fish/completions/wallet.fish
""")  # fmt: skip
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what a shell needs to complete commands, options and ids of wallets.

    Ids are completed where WALLET_URL and a key are set.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"there is no completion for {shell}")
    script = found(click.Group(), {}, "wallet", VARIABLE)
    # Its ``source`` runs the shell to learn its version; what is printed here may be for another machine.
    click.echo(script.source_template % script.source_vars())
