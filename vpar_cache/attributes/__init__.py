"""In: an attribute table, built in or from TOML. Out: its groups and outputs in order, and a prompt for each."""
