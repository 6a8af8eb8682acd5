"""Tools for users' tests of their DAGs; nothing here is needed in production."""
