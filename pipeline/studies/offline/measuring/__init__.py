"""From trained policies to the study's tables."""
