"""The GraphQL gateway: what its clients see, before a real core and before one that fails."""
