"""Wire schemas and routes, one noun a file."""
