"""How a message gets to the core and its reply back: connections, their threads, sharing, retries, the breaker."""
