"""Runs for other people. In: a finished run. Out: a folder in the layout of the model hub, with ONNX; and back."""
