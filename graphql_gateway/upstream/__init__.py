"""How a message gets to the core and its reply back: connections, their streams, sharing, retries, the breaker."""
