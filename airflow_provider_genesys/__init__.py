"""Apache Airflow provider for Genesys Cloud exports."""

__version__ = "0.1.0"
