"""The commands. `cli.main` collects every module of this package; there is no other list.

The module's name is the command's name, with "-" in the place of "_". A module has

    SUMMARY: str    one sentence for --help
    POSITION: int   its place in the list of --help
    add_arguments(parser: argparse.ArgumentParser) -> None
    run(options: argparse.Namespace) -> None
"""
