"""Reads looks at experiments as JSON lines, writes by line whether GrowthBook's sequential test found a difference."""

import json
import sys

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic


def statistic(kind, n, a, b, aa, ab, bb):
    mean = SampleMeanStatistic(n=n, sum=a, sum_squares=aa)
    if kind != "ratio":
        return mean
    return RatioStatistic(n=n, m_statistic=mean, d_statistic=SampleMeanStatistic(n=n, sum=b, sum_squares=bb), m_d_sum_of_products=ab)


for line in sys.stdin:
    experiment = json.loads(line)
    kind, config = experiment["kind"], SequentialConfig(difference_type="absolute", sequential_tuning_parameter=experiment["tightestAt"])
    found = False
    for n, m, *sums in experiment["looks"]:
        if n < 2 or m < 2:
            continue
        result = SequentialTwoSidedTTest(statistic(kind, n, *sums[:5]), statistic(kind, m, *sums[5:]), config).compute_result()
        if result.p_value <= 0.05:
            found = True
            break
    print(int(found), flush=True)
