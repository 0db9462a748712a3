"""Apache Kafka for the tests: how it is fetched and run."""
