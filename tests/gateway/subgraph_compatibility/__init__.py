"""Apollo's suite for subgraphs, run against our gateway with the suite's schema."""
