"""Attacks on the governed lake: what must not be learned, and by which roads it was once."""
