"""The master: holds the authorizations and the account keys, speaks ACME, and answers its followers."""
