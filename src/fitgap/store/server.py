"""Reading runs through an MLflow tracking server."""

import http.client
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from fitgap.errors import RequestError, StoreAwayError, first_line
from fitgap.store.base import ANSWER_SECONDS, Histories, StoredRun, in_time, number_of, redact
from fitgap.trust.text import line

PAGE = 200  # runs per request: a run weighs some 10 kB, and its server is slow to gather them
REQUESTS_AT_ONCE = 8  # a history is a request for each run and metric
# MLflow would try one request for four minutes, which holds up a training; and what it sends again
# by itself is not known to have been sent twice.
CLIENT_SETTINGS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each run
}
_NO_CONNECTION = "QueuePool limit of size"  # SQLAlchemy's words, in MLflow's answer


def check(uri: str) -> None:
    """Raise `RequestError` unless an MLflow server answers there within seconds.

    `StoreAwayError` where it may be one that does not answer just now.
    """
    what = f"the tracking server {redact(uri)}"
    # Not /health: a page at that address says nothing about MLflow being behind it.
    address = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"

    def ask() -> None:
        bare = re.sub(r"://[^/]*@", "://", address)  # urllib takes user:password@host for a host
        with urllib.request.urlopen(bare, timeout=ANSWER_SECONDS) as got:  # noqa: S310 (http only)
            answer = json.loads(got.read(1_000_000))
            if not isinstance(answer, dict):
                raise ValueError("no JSON object")

    try:
        in_time(ask, what=what)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        # It answers. Credentials are MLflow's to find (environment, file, plugin), not ours.
        if error.code >= 500:
            broken = f"{what} answers HTTP {error.code}: not a working MLflow server"
            raise StoreAwayError(broken) from error
        if error.code not in (401, 403):
            raise RequestError(f"{what} answers HTTP {error.code}: not an MLflow server") from error
    except urllib.error.URLError as error:
        # A certificate that MLflow is told to accept by its own settings is its own affair, too.
        if not isinstance(error.reason, ssl.SSLCertVerificationError):
            raise StoreAwayError(f"{what} does not answer: {error.reason}") from error
    except RequestError:
        raise
    except (ConnectionError, TimeoutError) as error:
        raise StoreAwayError(f"{what} does not answer: {error}") from error
    except (ValueError, OSError, http.client.HTTPException) as error:
        raise RequestError(f"{what} does not answer as an MLflow server: {error}") from error


def set_up_client() -> None:
    """Make MLflow's client give up soon and print less, unless the environment says otherwise."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)


def is_away(error: Exception) -> bool:
    """Tell whether an error says that a server did not answer, and not that it refused.

    An answer of 500 and above counts as absence: it is what a server says whose database is away.
    So does a request that waited for one of the server's connections to it, which MLflow answers
    as if it were a wrong one.
    """
    if isinstance(error, StoreAwayError):
        return True
    if "mlflow" not in sys.modules:
        return False
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, requests.HTTPError):
        return error.response is None or error.response.status_code >= 500
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return True
    if not isinstance(error, MlflowException):
        return False
    return bool(error.get_http_status_code() >= 500) or _NO_CONNECTION in str(error)


@contextmanager
def _server(uri: str) -> Iterator[Any]:
    """Give an MLflow client for a server that was seen to answer; its errors become ours."""
    check(uri)
    set_up_client()
    from mlflow import MlflowClient  # seconds, and only needed here
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        cause = first_line(error)
        if is_away(error):
            raise StoreAwayError(f"the tracking server {redact(uri)}: {cause}") from error
        raise RequestError(f"the tracking server {redact(uri)} refused: {cause}") from error


def as_stored(run: Any) -> StoredRun:
    """Return what MLflow's client found as a run of the store."""
    return StoredRun(
        run_id=run.info.run_id,
        name=line(run.info.run_name or ""),
        status=run.info.status,
        start_time=run.info.start_time or 0,
        params={line(key): line(value) for key, value in run.data.params.items()},
        metrics={line(key): number_of(value) for key, value in run.data.metrics.items()},
        tags={line(key): line(value) for key, value in run.data.tags.items()},
        artifact_uri=run.info.artifact_uri or "",
        end_time=run.info.end_time,
    )


def _all_pages(search: Callable[..., Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def experiments(uri: str) -> dict[str, str]:
    """Return the ids of the experiments that are not deleted, by name."""
    with _server(uri) as client:
        found = _all_pages(client.search_experiments)
        return {experiment.name: experiment.experiment_id for experiment in found}


def find_runs(
    uri: str, *, experiment: str, statuses: Iterable[str], tags: Mapping[str, str]
) -> list[StoredRun]:
    """Return an experiment's runs, newest first; see `fitgap.store.find_runs`."""
    with _server(uri) as client:
        found = client.get_experiment_by_name(experiment)
        if found is None or found.lifecycle_stage != "active":
            return []
        # A value with a quote in it cannot be written into MLflow's filter language; such a
        # run is sorted out below instead.
        named = [f"tags.`{k}` = '{v}'" for k, v in tags.items() if not set("'`") & set(k + v)]
        runs: list[StoredRun] = []
        for status in statuses:
            search = partial(
                client.search_runs,
                [found.experiment_id],
                filter_string=" and ".join([f"attributes.status = '{status}'", *named]),
                max_results=PAGE,
            )
            runs += [as_stored(run) for run in _all_pages(search)]
    kept = [run for run in runs if all(run.tags.get(k) == v for k, v in tags.items())]
    return sorted(kept, key=lambda run: (-run.start_time, run.run_id))


def last_metric_times(uri: str, *, run_ids: Sequence[str], key: str) -> dict[str, int]:
    """Return when a metric came last; see `fitgap.store.last_metric_times`."""
    with _server(uri) as client:
        histories = {run_id: client.get_metric_history(run_id, key) for run_id in run_ids}
    return {
        run_id: max(metric.timestamp for metric in history)
        for run_id, history in histories.items()
        if history
    }


def metric_histories(uri: str, *, run_ids: Sequence[str], keys: Sequence[str]) -> Histories:
    """Return the values by step; see `fitgap.store.metric_histories`."""
    histories: Histories = {run_id: {} for run_id in run_ids}
    wanted = [(run_id, key) for run_id in histories for key in keys]
    with _server(uri) as client, ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        found = pool.map(lambda pair: client.get_metric_history(*pair), wanted)
        for (run_id, key), values in zip(wanted, found, strict=True):
            in_order = sorted(values, key=lambda value: (value.step, value.timestamp))
            if in_order:
                histories[run_id][key] = {one.step: number_of(one.value) for one in in_order}
    return histories
