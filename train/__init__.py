"""Text in, head out: random words train a small network on CLIP's text embeddings (paper, sections 3.1 to 3.3)."""
