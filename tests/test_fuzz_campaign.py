"""`make fuzz`: what a campaign's log says, its sums, and a short one."""

import importlib.util

import pytest

from fitgap.errors import RequestError
from fitgap_lab.fuzz import campaign, packed, readers, report
from fitgap_lab.fuzz.campaign import Outcome

LOG = """INFO: Instrumenting fitgap.errors
#2\tINITED cov: 100 ft: 100 corp: 1/1b exec/s: 0 rss: 200Mb
#70\tNEW    cov: 130 ft: 150 corp: 2/3b lim: 5 exec/s: 9 rss: 200Mb L: 2/2 MS: 1 Custom-
#90\tREDUCE cov: 130 ft: 150 corp: 2/2b lim: 5 exec/s: 9 rss: 200Mb L: 1/2 MS: 1 Custom-
"""
END = """stat::number_of_executed_units: 400
stat::average_exec_per_sec:     10
stat::slowest_unit_time_sec:    1
stat::peak_rss_mb:              321
"""


def outcome(**changed):
    log = campaign._outcome("csv", LOG + END, processor_seconds=60.0, failed=False)
    return Outcome(**{**log.__dict__, **changed})


def test_a_log_is_read():
    assert outcome() == Outcome("csv", 60.0, 400, 130, 70, 321, 1, "")


def test_a_finding_names_its_file_and_its_error():
    log = LOG + (
        "Traceback (most recent call last):\n"
        '  File "h5py/h5g.pyx", line 1\n'
        "h5py.SomeError: the inner one\n"
        "OverflowError: Python int too large\n"
        "==1== ERROR: libFuzzer: fuzz target exited\n"
        "artifact_prefix='f/'; Test unit written to f/crash-1\n"
    )
    found = campaign._outcome("csv", log, processor_seconds=1.0, failed=True).finding
    assert found == "f/crash-1: OverflowError: Python int too large"


@pytest.mark.parametrize("log", ["", "Killed\n"])
def test_a_process_that_died_is_a_finding(log):
    assert campaign._outcome("csv", log, processor_seconds=1.0, failed=True).finding


def test_campaigns_are_added(tmp_path):
    first = report.added({}, [outcome()])
    report.write_json(first, tmp_path / "sums.json")
    more = outcome(edges=140, last_news=5, peak_mb=300)
    (total,) = report.added(report.read_json(tmp_path / "sums.json"), [more]).values()
    assert total == Outcome("csv", 120.0, 800, 140, 405, 321, 1, "")
    (total,) = report.added(first, [outcome(edges=129, last_news=5, finding="f")]).values()
    assert (total.edges, total.last_news, total.finding) == (130, 70, "f")
    assert "| csv | 2 | 800 | 130 | 70 | 321 | 1 | 1 |" in report.to_table([total])


@pytest.mark.parametrize("error", [ValueError("x"), RequestError("")])
def test_what_is_no_answer_is_a_finding(monkeypatch, error):
    def read(_):
        raise error

    monkeypatch.setitem(readers.READERS, "csv", read)
    with pytest.raises((ValueError, AssertionError)):
        readers.answer("csv", b"a")


@pytest.mark.parametrize("whole", [b"", b"a,b", b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_what_is_not_packed(whole):
    with pytest.raises(packed.NotPackedError):
        packed.unpacked(whole)


def test_a_bomb_is_not_unpacked():
    with pytest.raises(packed.NotPackedError):
        packed.unpacked(packed.archive({"a": bytes(packed.LARGEST + 1)}))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="Atheris is an extra, and has no wheels but for Linux on x86-64",
)
def test_a_short_campaign(tmp_path):
    said = []
    (result,) = campaign.run(["plan"], folder=tmp_path, minutes=0.1, at_once=1, say=said.append)
    assert said == [result]
    assert result.finding == ""
    assert result.inputs > 10
    assert result.edges > 10
    assert list((tmp_path / "plan" / "inputs").iterdir())
