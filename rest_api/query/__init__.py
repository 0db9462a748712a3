"""The query grammar: parsed once into frozen values that every back end can run."""
