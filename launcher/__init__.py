"""What `./start.sh` runs. It knows the core and the gateway by their commands only."""
