"""Rules that are not plain reading and writing, one noun a file; they flush and never commit."""
