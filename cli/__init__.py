"""The command line: options become a configuration, and one call goes into vpar_cache."""
