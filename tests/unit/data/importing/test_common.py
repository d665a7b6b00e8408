"""What imports share: carried prices and regular prices."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import DataError
from pipeline.data.importing.common import ImportOptions, carry, regular_price

NAN = np.nan


def test_carry_forward_then_back() -> None:
    values = np.array([[NAN, 1, NAN, 2, NAN], [NAN] * 5, [3, NAN, NAN, NAN, 4]])
    expected = [[1, 1, 1, 2, 2], [NAN] * 5, [3, 3, 3, 3, 4]]
    np.testing.assert_array_equal(carry(values), expected)


def test_regular_price_is_known_before_the_first_decision_or_at_the_launch() -> None:
    price = np.array([[1.0, 2, 2, 9, 9], [5, 6, 7, 8, 9], [NAN] * 5, [5, 6, 7, 8, 9], [4] * 5])
    on_sale = np.array([[1] * 5, [0, 0, 0, 1, 1], [1] * 5, [0, 1, 0, 1, 1], [0] * 5])
    np.testing.assert_array_equal(regular_price(price, on_sale, 3), [2, 8, NAN, 6, 4])
    np.testing.assert_array_equal(regular_price(price, on_sale, 0), [1, 8, NAN, 6, 4])


@pytest.mark.parametrize("options", [{"seed": -1}, {"max_bad_share": 1.5}, {"ahead_days": -1}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        ImportOptions(**options)  # type: ignore[arg-type]
