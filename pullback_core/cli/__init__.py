"""The command line. Each file in `commands` is one command.

This file imports nothing, because `pullback_core` needs `cli.console` before it imports torch.
"""
