"""Inverse square root: warm-up in a line, then down with the square root of the number of updates. No end in sight.

    min(n / w, sqrt(w / n))        n = s + 1 updates, w steps of warm-up, at least 1

warmup    steps (a whole number) or fraction of the run, in [0, 1); also sets how fast it falls: half of the peak is
          reached after 4 w updates
Returns   multiplier in (0, 1]
Paper     Vaswani et al. 2017, arXiv:1706.03762, eq. 3
Differs   scaled to a peak of 1 at n = w; the paper's peak is (width w)^(-1/2)
"""

import math

from lossbench.schedules.schedule import Duration, warmup_steps


def inverse_sqrt(step: int, total_steps: int, *, warmup: Duration = 0.1) -> float:
    rise = max(warmup_steps(warmup, total_steps), 1)
    return min((step + 1) / rise, math.sqrt(rise / (step + 1)))
