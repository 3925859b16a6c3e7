"""CLIPSep in small: text- and picture-queried sound separation, its network and its training."""
