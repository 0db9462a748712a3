"""A runner of the route's step types and job entries, with PDI's quirks."""
