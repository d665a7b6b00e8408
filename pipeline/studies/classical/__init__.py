"""Do the learners reach what theory says: classical problems with known best costs."""
