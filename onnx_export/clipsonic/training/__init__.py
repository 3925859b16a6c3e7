"""How each network of CLIPSonic is trained, and on what."""
