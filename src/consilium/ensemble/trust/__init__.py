"""Trust policies, one per file."""

TRUST = {
    "uniform": "consilium.ensemble.trust.uniform:Uniform",
}
