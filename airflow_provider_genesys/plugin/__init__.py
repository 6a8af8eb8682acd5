"""Pages in Airflow's UI: the tab "Load" of a task, and the page "Genesys loads" of all of them."""
