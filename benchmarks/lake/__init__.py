"""A governed lake against servers that publish the same rows without governing them."""
