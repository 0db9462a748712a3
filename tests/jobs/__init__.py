"""Jobs and their workers."""
