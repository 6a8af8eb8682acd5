"""Listings of Genesys Cloud (users, queues, wrap-up codes …), each declared in a YAML file and read as a snapshot."""
