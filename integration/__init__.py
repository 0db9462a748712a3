"""Routes that bring a database's changes to the core: clients of its HTTP API that share no code with it."""
