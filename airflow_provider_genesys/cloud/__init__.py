"""The Genesys Cloud API: settings, tokens, requests and one module per family of exports. Never imports Airflow."""
