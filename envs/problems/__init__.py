"""Problems to play: textbook demand, classical problems, the synthetic study's settings."""
