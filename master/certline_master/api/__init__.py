"""The HTTP interface under /v1: what followers, people and scripts may ask of the master."""
