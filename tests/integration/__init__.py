"""Routes of integration: a real core, a real base A, and what may happen between them."""
