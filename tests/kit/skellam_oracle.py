"""Skellam divergences, and the conversion to epsilon, in many digits and by other means than the package."""

import functools
from fractions import Fraction

import mpmath as mp
import numpy as np

from dp.checks import check_count, check_fraction, check_real
from dp.renyi import skellam_numerical
from dp.renyi.distributed import skellam_rdp

DIGITS = 40


def number(value):
    value = Fraction(value)
    return mp.mpf(value.numerator) / value.denominator


@functools.cache
def log_probabilities(variance, largest):
    """log p(x) for x = 0..largest, by the recurrence upwards: unstable, so with as many digits as it loses."""
    lost = 2 * largest * float(mp.asinh(largest / number(variance))) / float(mp.log(10))
    with mp.workdps(int(lost) + DIGITS + 10):
        mu = number(variance)
        bessel = [mp.besseli(0, mu), mp.besseli(1, mu)]
        for x in range(1, largest):
            bessel.append(bessel[x - 1] - 2 * x / mu * bessel[x])
    with mp.workdps(DIGITS):
        return [mp.log(value) - number(variance) for value in bessel]


def divergence(order, variance, shift, window=None):
    """The sum over all x that matter, or over [-window, window] only."""
    with mp.workdps(DIGITS):
        alpha, reach = mp.mpf(order), 64
        while True:
            reach *= 2
            log_p = log_probabilities(Fraction(variance), (window or reach) + shift)
            end = window or reach
            logs = [alpha * log_p[abs(x - shift)] + (1 - alpha) * log_p[abs(x)] for x in range(-end, end + 1)]
            highest = max(logs)
            if window or max(logs[0], logs[-1]) < highest - 80:
                return mp.log(mp.fsum(mp.exp(value) for value in logs)) / (alpha - 1)


def skellam_formula(order, variance, squared, absolute):
    alpha, mu = mp.mpf(order), number(variance)
    extra = min(((2 * alpha - 1) * squared + 6 * absolute) / (4 * mu**2), 3 * mp.mpf(absolute) / (2 * mu))
    return alpha * squared / (2 * mu) + extra


def epsilon(order, divergence, delta):
    """Canonne, Kamath, Steinke 2020, Prop. 12, at one order."""
    alpha = mp.mpf(order)
    return divergence + mp.log1p(-1 / alpha) - mp.log(number(delta) * alpha) / (alpha - 1)


# --- What the package computes, for comparison ---


def package_divergence(order, variance, shift):
    """The package's upper bound on the divergence of one coordinate; tight from an order of 1 + 2**-6 on."""
    order = check_real("order", order, low=1.0, open_low=True)
    check_real("variance", check_fraction("variance", variance), low=2.0**-20, high=skellam_numerical.LARGEST_VARIANCE)
    shift = check_count("shift", shift, low=1, high=skellam_numerical.LARGEST_SHIFT)
    check_real("order times shift", order * shift, high=skellam_numerical.LARGEST_ORDER_TIMES_SHIFT)
    lowered = skellam_numerical._rounded_down(variance)
    return float(skellam_numerical._divergences(order, lowered, np.array([shift]))[0])


def least_package_rdp(orders, event):
    """The smaller of the package's published and numerical bound."""
    return np.minimum(skellam_rdp(orders, event), skellam_numerical.numerical_skellam_rdp(orders, event))
