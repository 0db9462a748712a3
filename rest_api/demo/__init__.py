"""Demo data: deterministic from a seed, with times that reach up to now."""
