"""Pure statistics: arrays to intervals, to what two runs differ by, and to what that is worth."""

from llamabench.stats.intervals import (
    FloatArray,
    Interval,
    bootstrap_mean_interval,
    cluster_bootstrap_interval,
    cluster_wilson_interval,
    mean_of_means_interval,
    percentile_interval,
    resample_cluster_sums,
    spread_interval,
    wilson_interval,
)
from llamabench.stats.multiplicity import adjust_by_holm
from llamabench.stats.paired import (
    Paired,
    PairedStatistic,
    Tested,
    compare_paired,
    mcnemar_p,
)
from llamabench.stats.power import (
    detectable_difference,
    mcnemar_power,
    power_of_difference,
)

__all__ = [
    "FloatArray",
    "Interval",
    "Paired",
    "PairedStatistic",
    "Tested",
    "adjust_by_holm",
    "bootstrap_mean_interval",
    "cluster_bootstrap_interval",
    "cluster_wilson_interval",
    "compare_paired",
    "detectable_difference",
    "mcnemar_p",
    "mcnemar_power",
    "mean_of_means_interval",
    "percentile_interval",
    "power_of_difference",
    "resample_cluster_sums",
    "spread_interval",
    "wilson_interval",
]
