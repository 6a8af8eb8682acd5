"""What ``airflow-genesys`` does, a module for each verb."""
