"""Serving: a fitted forecaster as an ONNX graph, held to its native forecasts and run without its library."""
