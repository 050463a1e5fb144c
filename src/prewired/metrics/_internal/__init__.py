"""Machinery of the metrics: spectra with bounds, operators, flows."""
