"""Tests of how the parts may depend on one another."""
