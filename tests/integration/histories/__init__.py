"""Histories of a route: what was written, confirmed, applied and seen, and whether that keeps the promise."""
