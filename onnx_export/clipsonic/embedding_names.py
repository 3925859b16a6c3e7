"""Names of the joint embeddings that this family trains; imports nothing, so that they are known without torch."""

CLIPSONIC_EMBEDDING = "clipsonic-mini-384"
"""The space of the text and the image tower."""
CLAP_EMBEDDING = "clipsonic-clap-384"
"""The space of the contrastive model of words and sounds."""
