"""Datasets as lists of tracklets: the only code that knows a dataset's layout on disk."""
