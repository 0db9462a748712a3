"""The gateway against other GraphQL gateways over the same REST core."""
