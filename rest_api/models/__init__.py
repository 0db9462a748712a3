"""Tables of the database, one noun a file."""
