"""Stage 1. In: tracklets and an encoder. Out: a feature cache, through shard tasks that an executor runs."""
