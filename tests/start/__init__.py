"""The newcomer's door: one command that starts everything, and its refusals."""
