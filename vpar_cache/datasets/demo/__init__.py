"""In: a seed. Out: a small dataset of drawn people, with labels, in a folder."""
