"""Apache Synapse for the tests: how it is fetched and run, and what stands between it and the core."""
