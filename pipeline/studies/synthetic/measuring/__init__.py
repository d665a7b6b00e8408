"""What is measured of a trained study: test costs, references, critics, outputs."""
