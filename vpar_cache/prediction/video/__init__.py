"""People in a video: decode it, find and follow them, keep the best frames of each. Out: `Track`s."""
