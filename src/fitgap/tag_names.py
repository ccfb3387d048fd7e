"""The tags of a record that several parts of fitgap write and ask for."""

# On every run.
IDENTITY_TAG = "fitgap.identity"  # SHA-256 over all that decides its bits
ROLE_TAG = "fitgap.role"  # run, sweep (a parent run), debug
DATASET_TAG, SPLIT_TAG = "fitgap.dataset_digest", "fitgap.split_digest"
SOURCE_TAG = "fitgap.source_digest"  # over the code that the run consists of
CODE_TAG = "fitgap.code"  # a fingerprint of each part of that code, as JSON
METRICS_TAG = "fitgap.metrics"  # name, direction, bounds and phrase of each, the primary one first
COMMIT_TAG, DIRTY_TAG = "mlflow.source.git.commit", "fitgap.git_dirty"

# On some.
SWEEP_TAG, PARENT_TAG = "fitgap.sweep", "mlflow.parentRunId"  # run id of the sweep's parent run
RERUN_TAG = "fitgap.rerun_of"  # run id of the original
UNDEFINED_TAG = "fitgap.undefined"  # metrics without a value on a partition, and why
FAILURE_TAG = "fitgap.failure"  # the reason in a line
PRUNED_TAG = "fitgap.pruned"  # its search stopped it

# On the parent run of a sweep.
SWEEP_IDENTITY_TAG = "fitgap.sweep_identity"  # SHA-256 over its jobs
STOPPED_TAG = "fitgap.stopped"  # by a failure under fail_fast
SEARCH_TAG = "fitgap.search"  # the name of its study, if it is a search
