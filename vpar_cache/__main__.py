"""`python -m vpar_cache`: the same program as `vpar`."""

from vpar_cli.main import run

run()
