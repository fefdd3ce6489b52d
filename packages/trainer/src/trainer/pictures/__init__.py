"""Pictures of what a model has learned so far, drawn while it trains and kept in the run folder."""
