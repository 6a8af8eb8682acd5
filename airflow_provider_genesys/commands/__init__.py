"""What ``python -m airflow_provider_genesys`` does, one module for each verb."""
