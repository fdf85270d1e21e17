"""What the accountant's numbers should be, from the definitions, in mpmath at fifty digits. Shares no code with dp."""

import mpmath as mp

DIGITS = 50


def poisson_gaussian(q: float, sigma: float, order: float) -> mp.mpf:
    """log E_N[(1 - q + q e^((2z-1)/2sigma^2))^alpha] / (alpha - 1), N = N(0, sigma^2)."""
    with mp.workdps(DIGITS):
        q, sigma, order = mp.mpf(q), mp.mpf(sigma), mp.mpf(order)
        if order == mp.floor(order):
            n = int(order)
            total, weight = mp.mpf(0), (1 - q) ** n
            for k in range(n + 1):
                total += weight * mp.exp(mp.mpf(k * (k - 1)) / (2 * sigma**2))
                weight *= mp.mpf(n - k) / (k + 1) * q / (1 - q)
        else:
            total = _trapezoid(lambda z: (1 - q + q * mp.exp((2 * z - 1) / (2 * sigma**2))) ** order, sigma, order)
        return mp.log(total) / (order - 1)


def poisson_gaussian_by_quadrature(q: float, sigma: float, order: float) -> mp.mpf:
    """The same by mpmath's own quadrature: slow, a check of the trapezoid."""
    with mp.workdps(DIGITS):
        q, sigma, order = mp.mpf(q), mp.mpf(sigma), mp.mpf(order)
        points = [-15 * sigma]
        while points[-1] < order + 15 * sigma:
            points.append(points[-1] + 2 * sigma)
        total = mp.quad(
            lambda z: mp.npdf(z, 0, sigma) * (1 - q + q * mp.exp((2 * z - 1) / (2 * sigma**2))) ** order, points
        )
        return mp.log(total) / (order - 1)


def kullback_leibler(q: float, sigma: float) -> mp.mpf:
    """E_N[L log L] for the likelihood ratio L."""
    with mp.workdps(DIGITS):
        q, sigma = mp.mpf(q), mp.mpf(sigma)

        def of(z: mp.mpf) -> mp.mpf:
            ratio = 1 - q + q * mp.exp((2 * z - 1) / (2 * sigma**2))
            return ratio * mp.log(ratio)

        return _trapezoid(of, sigma, mp.mpf(1))


def _trapezoid(of, sigma: mp.mpf, order: mp.mpf) -> mp.mpf:  # type: ignore[no-untyped-def]
    # The spacing leaves e^-90 of the nearest singularity, pi sigma^2 off the axis, and less of the Gaussian.
    spacing = min(mp.mpf("0.3") * sigma, mp.mpf("0.2") * sigma**2)
    nodes = int(mp.ceil((order + 32 * sigma) / spacing))
    return spacing * mp.fsum(mp.npdf(z, 0, sigma) * of(z) for z in (spacing * i - 16 * sigma for i in range(nodes + 1)))


def without_replacement(part: float, sigma: float, order: float) -> mp.mpf:
    """The integral of f'' times the two hockey-stick profiles: with f(u) = u^alpha - 1 - alpha (u - 1), in closed form.

    H_t(P' || N) for t >= 1 and P' = (1-g) N + g P is g H_s(P || N), s = 1 + (t-1)/g, and H_s of two normals is known.
    Below 1 it is H_t = 1 - t + t H_{1/t} of the exchanged pair, whose profile is the same.
    """
    with mp.workdps(30):
        g, sigma, order = mp.mpf(part), mp.mpf(sigma), mp.mpf(order)

        def profile(t: mp.mpf) -> mp.mpf:
            s = 1 + (t - 1) / g
            log_s = mp.log(s)
            mu = 1 / sigma
            return g * (mp.ncdf(mu / 2 - log_s / mu) - s * mp.ncdf(-mu / 2 - log_s / mu))

        def second(t: mp.mpf) -> mp.mpf:
            return order * (order - 1) * t ** (order - 2)

        # t = 1 + g (e^x - 1), so that the profile is that of x over the line.
        def above(x: mp.mpf) -> mp.mpf:
            t = 1 + g * mp.expm1(x)
            return second(t) * profile(t) * g * mp.exp(x)

        def below(x: mp.mpf) -> mp.mpf:
            t = 1 + g * mp.expm1(x)
            # f''(1/t) H_{1/t} less its part below 1, and dt/t^2.
            return second(1 / t) * (profile(t) / t) / t**2 * g * mp.exp(x)

        width = 2 / sigma
        end = (order + 14 * sigma) / sigma**2
        points = [i * width for i in range(int(end / width) + 2)]
        return mp.log1p(mp.quad(above, points) + mp.quad(below, points)) / (order - 1)


def gaussian_delta(mu: float, epsilon: float) -> mp.mpf:
    with mp.workdps(400 if mu > 50 else 80):
        mu, epsilon = mp.mpf(mu), mp.mpf(epsilon)
        return mp.ncdf(mu / 2 - epsilon / mu) - mp.exp(epsilon) * mp.ncdf(-mu / 2 - epsilon / mu)
