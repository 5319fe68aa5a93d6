"""In: run folders, prediction files and published rows. Out: what the tables say."""
