"""Exports of Genesys Cloud: one module for each family of kinds."""
