"""Labels, splits, calibration, walk-forward training, artefacts and the run table."""
