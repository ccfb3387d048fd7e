"""Tags that several parts of fitgap write and ask for; importing them costs nothing."""

PRUNED_TAG = "fitgap.pruned"  # on a run that its search stopped
STOPPED_TAG = "fitgap.stopped"  # on a sweep's parent run, by a failure under fail_fast
