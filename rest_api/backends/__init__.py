"""Back ends: what keeps, reads and moves the data of the lake, each behind a port."""
