"""Image datasets: Market-1501, PA-100K and lists of images, as tracklets of one frame."""
