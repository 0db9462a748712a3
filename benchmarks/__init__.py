"""The same work against a baseline or a peer, measured in one run and told as ratios."""
