"""Models of stage 2: tensors in, logits out, no input or output of files."""
