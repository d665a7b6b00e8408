"""The offline study: methods and baselines on later days of real demand, piece by piece."""
