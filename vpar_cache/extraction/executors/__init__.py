"""In: shard tasks. Out: published shards. One file for each place where tasks can run."""
