"""What a person sees in a browser: the explorers and the documentation, with nothing fetched from elsewhere."""
