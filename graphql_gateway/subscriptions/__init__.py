"""GraphQL subscriptions: one stream of the core for all who may see the same, and three protocols to follow it by."""
