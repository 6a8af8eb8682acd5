"""Airflow operators, and what they share."""
