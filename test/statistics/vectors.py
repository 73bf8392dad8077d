"""Writes vectors.json: the answers of reference packages, with which test/statistics compares.

    pip install numpy==2.* scipy==1.17.* statsmodels==0.15.* scikit-learn==1.9.* pandas==2.* pydantic==2.* packaging
    pip install --no-deps gbstats==0.8.0
    python test/statistics/vectors.py > test/statistics/vectors.json
"""

import hashlib
import json
import math
import sys

import numpy as np
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
from gbstats.frequentist.tests import (
    FrequentistConfig,
    OneSidedTreatmentLesserTTest,
    SequentialConfig,
    SequentialTwoSidedTTest,
    TwoSidedTTest,
)
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic
from gbstats.utils import check_srm
from scipy import special, stats
from sklearn import isotonic, metrics
from statsmodels.api import OLS
from statsmodels.stats import proportion, weightstats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

random = np.random.default_rng(20011101)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value)


def functions():
    xs = [1e-10, 0.01, 0.3, 0.5, 1, 1.5, 2, 3.7, 10, 33.3, 171, 5000.5, 1e6, 123456789.25]
    gammas = [(a, x) for a in [0.01, 0.5, 1, 2.5, 10, 55.5, 1000, 250000] for r in [0.01, 0.5, 0.9, 1, 1.1, 2, 5] for x in [a * r]]
    betas = [(x, a, b) for a in [0.5, 1, 3.3, 40, 5000] for b in [0.5, 2, 25, 3000] for x in [0.001, 0.2, 0.5, 0.9, 0.999]]
    zs = [-37, -10, -5, -1.959963984540054, -1, -0.1, 0, 0.3, 1, 2.5, 6, 9]
    ps = [1e-300, 1e-20, 1e-6, 0.001, 0.025, 0.2, 0.5, 0.7, 0.975, 0.999999]
    ts = [(t, d) for d in [1, 2.5, 10, 99, 12345.6, 2e6] for t in [-3, -0.2, 0, 0.7, 1.96, 4, 12]]
    chis = [(x, d) for d in [1, 3.7, 9, 120, 99999] for r in [0.1, 0.8, 1, 1.3, 3] for x in [d * r]]
    fs = [(0.3, 2, 5), (1, 1, 1), (1.7, 9, 261), (2.5, 3.2, 96.4), (8, 4, 40), (0, 3, 7)]
    return {
        "logGamma": [[x, special.gammaln(x)] for x in xs],
        "logBeta": [[a, b, special.betaln(a, b)] for a in xs[1:-1] for b in [0.5, 3, 12, 4000]],
        "gammaP": [[a, x, special.gammainc(a, x)] for a, x in gammas],
        "gammaQ": [[a, x, special.gammaincc(a, x)] for a, x in gammas],
        "betaI": [[x, a, b, special.betainc(a, b, x)] for x, a, b in betas],
        "normalCdf": [[z, stats.norm.cdf(z)] for z in zs],
        "normalQuantile": [[p, stats.norm.ppf(p)] for p in ps],
        "studentSurvival": [[t, d, stats.t.sf(t, d)] for t, d in ts],
        "studentQuantile": [[p, d, stats.t.ppf(p, d)] for p in [0.01, 0.4, 0.9, 0.975, 0.9999] for d in [1, 2.5, 30, 10000.5]],
        "chiSquaredSurvival": [[x, d, stats.chi2.sf(x, d)] for x, d in chis],
        "fSurvival": [[x, a, b, stats.f.sf(x, a, b)] for x, a, b in fs],
    }


def intervals():
    cases = [(0, 10), (3, 10), (10, 10), (47, 1000), (99990, 100000)]
    welch = []
    for n, m in [(5, 8), (40, 400), (1000, 37)]:
        a, b = random.normal(3, 2, n), random.normal(3.5, 5, m)
        compare = weightstats.CompareMeans(weightstats.DescrStatsW(b), weightstats.DescrStatsW(a))
        low, high = compare.tconfint_diff(0.05, usevar="unequal")
        moments = [{"n": len(x), "mean": x.mean(), "variance": x.var(ddof=1)} for x in (a, b)]
        welch.append({"first": moments[0], "second": moments[1], "low": low, "high": high, "degrees": compare.dof_satt()})
    means = []
    for n in [2, 9, 500]:
        x = random.gamma(2, 3, n)
        low, high = weightstats.DescrStatsW(x).tconfint_mean(0.1)
        means.append({"n": n, "mean": x.mean(), "variance": x.var(ddof=1), "low": low, "high": high})
    return {
        "wilson": [[k, n, *proportion.proportion_confint(k, n, 0.05, "wilson")] for k, n in cases],
        "welch": welch,
        "mean": means,
    }


def multiple():
    sets = [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.2], list(random.random(20) ** 3)]
    return [{"p": p, "holm": multipletests(p, method="holm")[1], "bh": multipletests(p, method="fdr_bh")[1]} for p in sets]


def distances():
    cases = []
    for bins in [2, 5, 10]:
        p, q = random.integers(1, 500, bins), random.integers(1, 500, bins)
        a, b = p / p.sum(), q / q.sum()
        jensen = math.sqrt(sum(special.rel_entr(a, (a + b) / 2) + special.rel_entr(b, (a + b) / 2)) / 2)
        cases.append({
            "baseline": p, "window": q,
            "psi": float(np.sum((a - b) * np.log(a / b))),
            "jensenShannon": jensen,
            "hellinger": math.sqrt(np.sum((np.sqrt(a) - np.sqrt(b)) ** 2) / 2),
            "totalVariation": np.abs(a - b).sum() / 2,
            "kolmogorovSmirnov": np.abs(np.cumsum(a - b)).max(),
        })
    areas = []
    for n, m in [(1, 1), (7, 4), (50, 90)]:
        u, v = np.sort(random.normal(0, 1, n)), np.sort(random.normal(0.4, 2, m))
        wu, wv = random.integers(1, 9, n), random.integers(1, 9, m)
        areas.append({
            "baseline": {"values": u, "weights": wu}, "window": {"values": v, "weights": wv},
            "distance": stats.wasserstein_distance(u, v, wu, wv),
        })
    return {"bins": cases, "wasserstein": areas}


def independent_drift():
    """One row an entity: V is the multinomial covariance, so the statistic is near Pearson's. The trace of the square as Bai and Saranadasa estimate it."""
    cases = []
    for n, m, bins in [(400, 300, 4), (5000, 900, 10)]:
        counts = [random.multinomial(size, np.full(bins, 1 / bins)) for size in (n, m)]
        shares = [c / c.sum() for c in counts]
        covariances = [(np.diag(s) - np.outer(s, s)) / (c.sum() - 1) for s, c in zip(shares, counts)]
        pooled = sum(counts) / sum(c.sum() for c in counts)
        parts = [np.diag(1 / pooled) @ c for c in covariances]
        squares = [
            (np.trace(part @ part) - np.trace(part) ** 2 / known) * known**2 / ((known + 2) * (known - 1))
            for part, known in zip(parts, (n - 1, m - 1))
        ]
        trace = np.trace(sum(parts))
        known = trace**2 / sum(np.trace(part) ** 2 / (size - 1) for part, size in zip(parts, (n, m)))
        square = max(trace**2 / (bins - 1), sum(squares) + 2 * np.trace(parts[0] @ parts[1]))
        scale, degrees = square / trace, trace**2 / square
        statistic = ((shares[0] - shares[1]) ** 2 / pooled).sum() / scale
        cases.append({"baseline": counts[0], "window": counts[1], "statistic": statistic, "degrees": degrees,
                      "p": stats.f.sf(statistic / degrees, degrees, degrees * known), "pearson": stats.chi2_contingency(counts, correction=False)[1]})
    return cases


def clustered():
    """Covariance of shares by entity, from the definition."""
    entities = random.multinomial(6, [0.2, 0.5, 0.3], 9)
    rows = entities.sum()
    share = entities.sum(0) / rows
    residuals = entities - np.outer(entities.sum(1), share)
    return {"entities": entities, "shares": share, "covariance": (residuals.T @ residuals * 9 / 8 / rows**2).ravel()}


def delong(scores, labels):
    """The variance from its definition, O(mn)."""
    pos, neg = scores[labels], scores[~labels]
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    return math.sqrt(psi.mean(1).var(ddof=1) / len(pos) + psi.mean(0).var(ddof=1) / len(neg))


def quality():
    cases = []
    for n, step in [(30, 0.1), (400, 0.01), (900, None)]:
        p = random.beta(2, 3, n)
        p = np.clip(np.round(p / step) * step, 0.001, 0.999) if step else p
        labels = random.random(n) < p**1.2
        predicted = p >= 0.4
        fit = isotonic.IsotonicRegression(out_of_bounds="clip").fit(p, labels)
        curve = fit.predict(np.unique(p))
        recalibrated = fit.predict(p)
        brier = metrics.brier_score_loss(labels, p)
        cases.append({
            "scores": p, "labels": labels, "threshold": 0.4,
            "auc": metrics.roc_auc_score(labels, p), "aucError": delong(p, labels),
            "logLoss": metrics.log_loss(labels, p), "brier": brier,
            "accuracy": metrics.accuracy_score(labels, predicted),
            "precision": metrics.precision_score(labels, predicted), "recall": metrics.recall_score(labels, predicted),
            "curve": curve,
            "miscalibration": brier - metrics.brier_score_loss(labels, recalibrated),
            "discrimination": labels.mean() * (1 - labels.mean()) - metrics.brier_score_loss(labels, recalibrated),
        })
    predictions, targets = random.normal(0, 3, 50), random.normal(0.3, 3, 50)
    return {
        "classification": cases,
        "regression": {
            "predictions": predictions, "targets": targets,
            "meanAbsolute": metrics.mean_absolute_error(targets, predictions),
            "rootMeanSquared": metrics.root_mean_squared_error(targets, predictions),
        },
    }


def place(salt, unit):
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def sample(values):
    return SampleMeanStatistic(n=len(values), sum=values.sum(), sum_squares=(values**2).sum())


def moments(values):
    return {"mean": values.mean(), "varianceOfMean": values.var(ddof=1) / len(values)}


def sequences():
    cases = []
    for n, m, kind, at in [(400, 350, "absolute", 5000), (9000, 11000, "relative", 5000), (100000, 90000, "absolute", 20000)]:
        a, b = random.gamma(2, 3, n), random.gamma(2, 3.05, m)
        test = SequentialTwoSidedTTest(sample(a), sample(b), SequentialConfig(difference_type=kind, sequential_tuning_parameter=at))
        low, high = test.confidence_interval
        cases.append({"control": moments(a), "treatment": moments(b), "n": n + m, "kind": kind, "tightestAt": at,
                      "value": test.point_estimate, "low": low, "high": high, "p": test.p_value})
    return cases


def ratios():
    cases = []
    for n in [50, 4000]:
        d = random.poisson(5, n) + 1.0
        m = random.binomial(d.astype(int), 0.3) * 1.0
        statistic = RatioStatistic(n=n, m_statistic=sample(m), d_statistic=sample(d), m_d_sum_of_products=(m * d).sum())
        cases.append({"numerator": {"mean": m.mean(), "variance": m.var(ddof=1)}, "denominator": {"mean": d.mean(), "variance": d.var(ddof=1)},
                      "covariance": np.cov(m, d)[0, 1], "n": n, "mean": statistic.mean, "varianceOfMean": statistic.variance / n})
    return cases


def adjusted():
    """Theta is the coefficient of the covariates in a regression that has the arm, too."""
    cases = []
    for width in [1, 3]:
        arms = []
        for n, effect in [(60, 0), (45, 0.4)]:
            x = random.normal(1, 2, (n, width))
            arms.append({"y": x @ np.arange(1, width + 1) + random.normal(effect, 1, n), "x": x})
        y = np.concatenate([arm["y"] for arm in arms])
        x = np.concatenate([arm["x"] for arm in arms])
        arm = np.repeat([0.0, 1.0], [60, 45])
        theta = OLS(y, np.column_stack([np.ones(len(y)), arm, x])).fit().params[2:]
        outcome = [a["y"] - (a["x"] - x.mean(0)) @ theta for a in arms]
        cases.append({"arms": arms, "theta": theta, "means": [o.mean() for o in outcome], "variances": [o.var(ddof=1) for o in outcome]})
    return cases


def planning():
    solver = NormalIndPower()
    return [[effect, n, ratio * n, solver.power(effect, n, 0.05, ratio)] for effect in [0.02, 0.1, 0.3] for n in [100, 5000] for ratio in [1, 3]]


def bayesian():
    cases = []
    for n, m, effect in [(300, 250, 0.1), (4000, 4100, -0.2)]:
        a, b = random.gamma(2, 3, n), random.gamma(2, 3 + effect, m)
        for kind in ["absolute", "relative"]:
            for prior, unit in [(None, kind), ((0.05, 0.3), "absolute"), ((0.02, 0.1), "relative")]:
                gaussian = GaussianPrior(prior[0], prior[1] ** 2, True) if prior else GaussianPrior()
                for inverse in [False, True]:
                    config = EffectBayesianConfig(difference_type=kind, prior_type=unit, prior_effect=gaussian, inverse=inverse)
                    result = EffectBayesianABTest(sample(a), sample(b), config).compute_result()
                    cases.append({
                        "control": moments(a), "treatment": moments(b), "unit": kind, "better": "lower" if inverse else "higher",
                        "prior": {"mean": prior[0], "deviation": prior[1], "unit": unit} if prior else None,
                        "value": result.expected, "deviation": result.uplift.stddev, "low": result.ci[0], "high": result.ci[1],
                        "chanceToWin": result.chance_to_win, "risk": result.risk,
                    })
    return cases


def heterogeneous():
    cases = []
    for k in [2, 5]:
        values, errors = random.normal(0.1, 0.1, k), random.uniform(0.02, 0.1, k)
        result = combine_effects(values, errors**2)
        cases.append({"values": values, "errors": errors, "q": result.q, "p": stats.chi2.sf(result.q, k - 1)})
    return cases


def defects():
    """Answers of gbstats 0.8.0 that are wrong."""
    control = SampleMeanStatistic(n=1000, sum=-2000, sum_squares=5000)
    treatment = SampleMeanStatistic(n=1000, sum=-1800, sum_squares=4240)
    lesser = OneSidedTreatmentLesserTTest(treatment, control, FrequentistConfig(difference_type="absolute"))
    far = TwoSidedTTest(control, SampleMeanStatistic(n=1000, sum=-1500, sum_squares=3250), FrequentistConfig(difference_type="absolute"))
    return {
        "srm": check_srm([560, 500, 0], [0.5, 0.5, 0]), "srmOfTwo": stats.chisquare([560, 500]).pvalue,
        "liftOfNegatives": TwoSidedTTest(control, treatment, FrequentistConfig(difference_type="relative")).point_estimate,
        "lesser": {"p": lesser.p_value, "high": lesser.confidence_interval[1], "value": lesser.point_estimate},
        "far": {"p": far.p_value, "t": far.critical_value, "degrees": far.dof, "right": 2 * stats.t.sf(abs(far.critical_value), far.dof)},
    }


def experiments():
    units = ["", "ATL", "user-17", "Zürich", "東京", "x" * 200]
    return {
        "places": [[salt, unit, place(salt, unit)] for salt in ["delay_model_v7", "a"] for unit in units],
        "sequences": sequences(), "ratios": ratios(), "adjusted": adjusted(), "power": planning(),
    }


json.dump(plain({
    "functions": functions(), "intervals": intervals(), "multiple": multiple(), "distances": distances(),
    "independentDrift": independent_drift(), "clustered": clustered(), "quality": quality(),
    "experiments": experiments(), "bayesian": bayesian(), "heterogeneous": heterogeneous(), "defects": defects(),
}), sys.stdout)
print()
