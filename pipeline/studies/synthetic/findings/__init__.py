"""What the measured tables show: claims, figures and their numbers."""
