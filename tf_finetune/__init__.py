"""Transfer learning on pictures with Keras 3 and TensorFlow."""
