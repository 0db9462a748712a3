"""The back ends, each held to what its port promises."""
