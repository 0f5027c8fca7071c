"""What the parts of a secure sum cost: `python benchmarks/secure_sum_parts.py`.

Masks, agreements, sharing and rounding as one of 1,000 participants with 100,000 values does them: 62
neighbours drawn and about as many that drew it, threshold 46. Times are of the processor, so that other work
on the machine does not count. Exit code 1 if a threshold of thresholds.toml is missed by the median.
"""

import statistics
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from consilium.federated.entropy import SystemEntropy
from consilium.federated.masks import add_masks
from consilium.federated.parameters import degree_for
from consilium.federated.primitives import (
    agree,
    derive,
    new_exchange_key,
    new_signing_key,
    seal,
    sign,
    verify,
)
from consilium.federated.quantising import Scale, quantise
from consilium.federated.shamir import as_number, combine, draw_secret, lagrange_weights, split

N, D, RUNS = 1_000, 100_000, 41


def parts() -> dict[str, Callable[[], object]]:
    """Return what is measured, by the name of its row."""
    entropy = SystemEntropy()
    degree = degree_for(N, 0.1, 0.05)
    k, t = degree.neighbours, degree.threshold
    vector = np.zeros(D, np.uint32)
    keys = [(entropy.token(32), 1) for _ in range(2 * k)]
    me, signer = new_exchange_key(entropy), new_signing_key(entropy)
    others = [new_exchange_key(entropy).public for _ in range(2 * k)]
    points = [int(x) + 1 for x in np.random.default_rng(1).permutation(N)[:k]]
    secrets = [as_number(draw_secret(entropy)) for _ in range(2)]
    shares = dict(zip(points, split(secrets[0], t, points, entropy), strict=True))
    update = np.random.default_rng(0).normal(size=D)
    signature = sign(signer.private, bytes(200))

    def combine_anew() -> int:
        lagrange_weights.cache_clear()
        return combine(shares, t)

    return {
        f"{2 * k} masks of {D:,} uint32": lambda: add_masks(vector, keys),
        f"{2 * k} agreements (X25519)": lambda: [agree(me.private, other) for other in others],
        f"{2 * k} keys derived (HKDF)": lambda: [derive(key, b"pair" * 20) for key, _ in keys],
        f"{k} pairs of shares sealed (AES-256-GCM)": lambda: [
            seal(key, bytes(64), b"") for key, _ in keys[:k]
        ],
        f"2 secrets shared with {k}, threshold {t}": lambda: [split(s, t, points, entropy) for s in secrets],
        f"1 secret of {t} shares, weights known": lambda: combine(shares, t),
        f"1 secret of {t} shares, weights computed": combine_anew,
        f"{D:,} values clipped and rounded": lambda: quantise(update, Scale(clip=1.0), entropy),
        "1 key pair drawn (X25519)": lambda: new_exchange_key(entropy),
        "1 signature (Ed25519)": lambda: sign(signer.private, bytes(200)),
        "1 signature verified": lambda: verify(signer.public, signature, bytes(200)),
    }


def measured(work: Callable[[], object]) -> list[float]:
    """Return processor milliseconds of each run, the first left out."""
    times = []
    for _ in range(RUNS + 1):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1e3)
    return sorted(times[1:])


def main() -> int:
    """Measure, print a table, and compare with the thresholds."""
    medians = {}
    print(f"| part | processor ms, median of {RUNS} (least to most) |\n|---|---|")
    for name, work in parts().items():
        times = measured(work)
        medians[name] = statistics.median(times)
        print(f"| {name} | {medians[name]:.3g} ({times[0]:.3g} to {times[-1]:.3g}) |")
    with Path(__file__).with_name("thresholds.toml").open("rb") as file:
        bounds = tomllib.load(file)["secure_sum_parts"]
    masks, agreements, _, _, shared, combined, *_ = medians.values()
    masks_gb_s = int(next(iter(medians)).split()[0]) * 4 * D / masks / 1e6
    print(f"\nmasks: {masks_gb_s:.2f} GB/s")
    missed = [
        masks_gb_s < bounds["masks_gb_s"],
        agreements > bounds["agreements_ms"],
        shared > bounds["share_ms"],
        combined > bounds["combine_ms"],
    ]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
