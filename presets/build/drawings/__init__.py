"""Small pictures of our own, in the public domain (CC0): the slots of the bank `pictures`."""
