"""In: a folder in the layout of a dataset. Out: tracklets with labels, and their chosen frames decoded ahead."""
