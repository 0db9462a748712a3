"""The tests: what a client sees, then each port's contract, then pure rules."""
