"""In: a trained model, its predictions and scores. Out: a run folder; and back, checked."""
