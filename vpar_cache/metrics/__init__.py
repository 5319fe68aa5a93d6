"""In: numpy arrays of probabilities and labels. Out: scores by protocol, scores per output, intervals."""
