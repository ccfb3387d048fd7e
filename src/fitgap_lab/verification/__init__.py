"""The NumPy reference held against Keras, and walked through."""
