"""In: plain settings and the shapes of the features. Out: a stage-2 network and its loss, by name."""
