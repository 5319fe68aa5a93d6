"""In: the name of a frozen network and its weights. Out: an encoder from frames to tokens and from prompts to text
embeddings. The only package that imports open_clip, timm and transformers."""
