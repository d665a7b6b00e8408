"""What property tests vary: arguments of the fixture ``random_problem``."""

from __future__ import annotations

from hypothesis import strategies as st

problem_choices = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(1, 7),
        "days": st.integers(1, 15),
        "longest": st.integers(0, 5),
        "backlog": st.booleans(),
        "shared_lead_time": st.booleans(),
        "random_lead_time": st.booleans(),
        "random_fill": st.booleans(),
        "random_counted": st.booleans(),
        "expected": st.booleans(),
        "order_multiple": st.sampled_from([0.0, 3.0, "each"]),
        "order_max": st.sampled_from([float("inf"), 9.0]),
        "longest_period": st.sampled_from([1, 4]),
    }
)
