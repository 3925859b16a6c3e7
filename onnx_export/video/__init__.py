"""Videos as training data: lists, decoding, features in shards."""
