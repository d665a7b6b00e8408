"""From data to a decision: features, action models, algorithms, evaluation, comparison."""
