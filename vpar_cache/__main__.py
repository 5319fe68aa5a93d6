"""`python -m vpar_cache`: the same program as `vpar`."""

from vpar_cli.main import run  # type: ignore[import-not-found] # the folder is cli/, see pyproject.toml

if __name__ == "__main__":
    run()
