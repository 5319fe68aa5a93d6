"""Stage 2. In: a feature cache and settings. Out: a run folder."""
