"""Engines that train and score a Keras model, and the rule that chooses one."""
