"""The estimate of the time left is either based on observed work or absent."""

import pytest

from connector.core.run_figures import TimeLeft


@pytest.mark.parametrize(
    ("samples", "now_s", "expected"),
    [
        ([], 0, None),
        ([(0, 100)], 60, None),
        ([(0, 100), (10, 50)], 10, None),  # too short a time
        ([(0, 100), (60, 97)], 60, None),  # too little work
        ([(0, 100), (60, 100)], 60, None),  # no work
        ([(0, 1000), (60, 990)], 60, None),  # too far to extrapolate
        ([(0, 100), (50, 50)], 50, 50),
        ([(0, 100), (50, 50)], 60, 40),
        ([(0, 100), (50, 50)], 500, 0),
        ([(0, 100), (50, 0)], 50, 0),
        ([(0, 100), (50, 50), (60, 200), (100, 100)], 100, 40),  # the work grew: it begins again
        ([(0, 1000), (1000, 500), (1300, 400), (1600, 300)], 1600, 900),  # the older speed no longer counts
    ],
)
def test_the_time_left(samples: list[tuple[float, int]], now_s: float, expected: float | None) -> None:
    left = TimeLeft()
    for at_s, remaining in samples:
        left.add(at_s, remaining)
    assert left.seconds(now_s) == expected


def test_a_long_wait_keeps_few_samples_and_ends_the_estimate() -> None:
    left = TimeLeft()
    left.add(0, 200)
    for second in range(1, 2000):
        left.add(second, 100)
    assert left.seconds(500) is not None
    assert left.seconds(1999) is None
