import keras, time
from fitgap import models, tracking, experiment
def test_a(compose): compose()
def test_b(compose): compose("optimizer=adam")
def test_c(tracking_uri, compose):
    t=time.time()
    r = experiment.run(experiment.plan(compose("training.epochs=1", f"tracking.uri={tracking_uri}"))); print(r, time.time()-t)
    assert 0
def test_c2(tracking_uri, compose):
    t=time.time()
    r = experiment.run(experiment.plan(compose("training.epochs=1", "training.engine=fit", f"tracking.uri={tracking_uri}"))); print(r, time.time()-t)
    assert 0
def test_d(train):
    print(train("optimiser=adam"))
    print(train("optimizer=adm"))
    assert 0
import pytest
@pytest.mark.parametrize("o", [["training.engine=fit","seed=2"], ["training.xla=false"], ["training.xla=false","seed=1"], ["architecture=dense_softmax", "training.xla=false"]])
def test_c4(tracking_uri, compose, o):
    t=time.time()
    r = experiment.run(experiment.plan(compose("training.epochs=1", f"tracking.uri={tracking_uri}", *o))); print(r, time.time()-t)
