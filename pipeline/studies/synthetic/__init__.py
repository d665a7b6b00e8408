"""The synthetic study: its trajectories, what is measured on them, figures and report."""
