"""`clarion completion`."""

from __future__ import annotations

import click

from server.cli.standard_streams import say


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell: verbs, options, hosts and tasks.

    \b
    bash: clarion completion bash > ~/.local/share/bash-completion/completions/clarion
    zsh:  clarion completion zsh > a file named _clarion in a directory of $fpath
    fish: clarion completion fish > ~/.config/fish/completions/clarion.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    say(
        kind(root, {}, "clarion", "_CLARION_COMPLETE").source_template
        % kind(root, {}, "clarion", "_CLARION_COMPLETE").source_vars()
    )
