"""How a dense network learns, written out in NumPy and checked against Keras.

Nothing here imports TensorFlow. Read the modules in this order:

- `activations`, `layers`, `losses`: the vectorised forward pass and its gradients;
- `optimizers`: how a gradient becomes a change of the weights;
- `network`: these four put together into one training step;
- `batches`: cutting a data set into batches, axis order, one-hot labels;
- `arrays`: the array types and the shape checks that the others share.

Two things that training needs are not here: the order in which samples are visited, and the
number of epochs. They belong to whoever drives `network.Network`.
"""
