"""How fast the script is, what it takes, and how soon two databases are known to be alike; beside dlt and sling."""
