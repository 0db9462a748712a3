"""Kafka Connect with Debezium, as it captures a PostgreSQL for the Kafka route."""
