"""The ingest step: offered files -> catalogue, with what cannot be used in quarantine."""
