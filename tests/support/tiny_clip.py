"""A CLIP so small that a test can run it."""

TINY_BACKBONE = "vpar-test-tiny"
"""A CLIP of 5 tokens x 32 dimensions; registered with open_clip by the fixture `tiny_backbone`."""

TINY_CLIP = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
