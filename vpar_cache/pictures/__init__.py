"""In: a run and the frames of a dataset. Out: figures of predictions and of attention."""
