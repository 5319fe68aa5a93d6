"""What needs several stages: the demo, the benchmark of all systems, repeating a run."""
