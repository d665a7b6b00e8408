"""What goes to MLflow, through one door."""
