"""Checks of flags and files that are made before TensorFlow starts."""
