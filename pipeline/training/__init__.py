"""One training run: from a configuration to the model that validated best."""
