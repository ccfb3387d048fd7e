"""Tags that several parts of fitgap write and ask for; importing them costs nothing."""

STOPPED_TAG = "fitgap.stopped"  # on a sweep's parent run, by a failure under fail_fast
