"""The Python interface in one piece, on Fashion-MNIST; a notebook has a cell for each `# %%`.

A fiftieth of the training images, so that it takes seconds. What it trains once, it finds finished
the next time, whether as a script or as a notebook.
"""

# %%
import keras
import numpy as np

import fitgap


def residual(x, width=64):
    """From the scaled input to features, to which fitgap adds the output layer."""
    h = keras.layers.Dense(width, activation="relu")(keras.layers.Flatten()(x))
    return keras.layers.add([h, keras.layers.Dense(width, activation="relu")(h)])


# %%
part = {"train_fraction": 0.02}
images = np.zeros((3, 28, 28), np.uint8)
study = fitgap.Study("residuals", data="fashion_mnist")
run = study.run(architecture=residual, optimizer="adam", epochs=5, seed=0, split=part)
assert abs(run.metrics["gap/accuracy"]) < 1
assert len(run.history) == 5
assert isinstance(run.model, keras.Model)
assert run.predict(images).shape == (3, 10)

# %%
runs = study.sweep(
    architecture=[residual, "dense_relu_100"],
    optimizer=["adam", "sgd"],
    seed=range(5),
    split=part,
    workers=2,
)
assert runs.failures == 0
assert run.id in [each.id for each in runs]
assert len(study.runs()) == 20

# %%
compared = study.compare()
assert len(compared.to_frame()) == 4
compared.plot()
compared.report("r.html")

# %%
x = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
y = (x.sum(axis=1) > 0).astype(int)
x, y, xv, yv = x[:400], y[:400], x[400:], y[400:]
model = keras.Sequential([keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = fitgap.fit(model, x, y, validation_data=(xv, yv), epochs=5, batch_size=32)
assert len(history.history["val_accuracy"]) == 5
history = model.fit(x, y, callbacks=[fitgap.GapCallback(train=(x, y), val=(xv, yv))])
assert "gap_accuracy" in history.history
