from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cluster.report.folders import add_classification, add_heat_maps, write_progress, write_run

from saccade.cluster.report.page import write_report
from saccade.cluster.report.sections import PICTURES
from saccade.pipelines.errors import UserError

HEADINGS = ["Curves", "Metrics", "Data", "Model and engine", "Time", "Job", "Environment"]


def text(page: str) -> str:
    """What a reader sees: without drawings, styles and tags."""
    page = re.sub(r"<(svg|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def charts(page: str) -> list[str]:
    return re.findall(r"<figure[^>]*><h3>(.*?)</h3>", page)


def assert_self_contained(page: str) -> None:
    """Nothing is loaded: no scripts, no links, and addresses only inside the page, or that are pictures themselves."""
    assert not re.search(r"<(script|link|iframe|img|object|embed|base)\b", page)
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)""", page)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    assert "@import" not in page
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)", page))


def test_a_finished_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    output = write_report(run)
    assert output == run / "report.html"
    page = output.read_text()
    assert headings(page) == HEADINGS
    assert_self_contained(page)
    seen = text(page)
    result = json.loads((run / "result.json").read_text())
    assert seen.startswith("demo complete task next_item")
    tiles = re.findall(r'class="label">(.*?)<', page)
    assert tiles[:2] == ["test/ndcg@10", "test/ndcg@5"]  # what the job selects by comes first
    for value in result["metrics"].values():
        assert f"{value:.4f}" in seen
    for fact in (
        "51,234",
        "6 min 40 s",
        "/data/behaviour",
        "5f2b9c0e7d1a44c88f0d6b7e",
        "46.0 MiB",
        "list<element: int64>",
    ):
        assert fact in seen
    for fact in (
        "0123456789 + changes",
        "k3jq8x2p",
        "16,000,000",
        "24.4 MiB",
        "30.5 MiB",
        "2.13.0+cpu",
        "max_length: 50",
    ):
        assert fact in seen
    assert "of it, 20 evaluations 1 min 20 s" in seen
    assert "resumed 2026-02-02T02:43:00 300 1" in seen
    assert charts(page)[:3] == ["training loss", "valid/ndcg by step", "valid/ndcg by training time"]
    assert {"learning rate", "throughput, events a second", "share of a step spent waiting for data"} < set(
        charts(page)
    )
    assert "result.json" not in seen


def test_drawings_take_their_colours_from_the_page_and_share_no_ids(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "demo")).read_text()
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 11
    for drawing in drawings:
        assert not re.search(r"(fill|stroke): #", drawing)
        used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', drawing))
        assert used <= set(re.findall(r'\sid="([\w-]+)"', drawing))
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_a_classification(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    names = add_classification(run)
    page = write_report(run).read_text()
    assert headings(page) == ["Curves", "Metrics", "Classification report", *HEADINGS[2:]]
    seen = text(page)
    for name in names:
        assert f"{name} 0.9100 0.8800 0.8950 83" in seen
    assert "accuracy 0.8925" in seen


def test_slices_and_intervals(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    assert "Slices and intervals, test" not in headings(write_report(run).read_text())
    result = json.loads((run / "result.json").read_text())
    result["ci"] = {"ndcg@10": [0.125, 0.5]}
    result["slices"] = {"history_length": {"5-9": {"rows": 1200, "ndcg@10": 0.25}, "200+": {"rows": 3, "hr@5": 1.0}}}
    (run / "result.json").write_text(json.dumps(result))
    page = write_report(run).read_text()
    assert headings(page) == ["Curves", "Metrics", "Slices and intervals, test", *HEADINGS[2:]]
    seen = text(page)
    assert "0.1250 0.5000" in seen
    assert "By history length rows ndcg@10 hr@5 5-9 1,200 0.2500 – 200+ 3 – 1.0000" in seen


def test_heat_maps(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo")
    add_classification(run)
    add_heat_maps(run, names='<b>"$x^2$"')
    page = write_report(run).read_text()
    assert headings(page) == ["Curves", "Metrics", "Classification report", "Attention", *HEADINGS[2:]]
    assert_self_contained(page)
    assert "A few rows of the valid split, with the checkpoint at step 800." in text(page)
    pictures = page.partition("<h2>Attention</h2>")[2].partition("</section>")[0]
    drawings = re.findall(r"<svg.*?</svg>", pictures, flags=re.DOTALL)
    assert len(drawings) == 3
    for row, drawing in enumerate(drawings):
        assert f'valid row {row}, layer 0; next <b>"$x^2$" 9' in text(pictures)
        assert len(re.findall("data:image/png", drawing)) == 2  # a picture a head, a dot a pair
        assert not re.search(r"(fill|stroke): #", drawing)
        assert len(drawing) < 50_000
        assert "head 1, up to 0.9" in drawing
        assert drawing.count("&lt;b&gt;") + drawing.count("&lt;b>") >= 15
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_shows_only_so_many_heat_maps(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=20)
    add_heat_maps(run, count=PICTURES + 2)
    page = write_report(run).read_text()
    assert f"valid row {PICTURES - 1}," in page
    assert f"valid row {PICTURES}," not in page
    assert "2 more are in attention/heat_maps.json" in text(page)


def test_damaged_heat_maps_are_the_users_to_mend(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=20)
    add_heat_maps(run)
    (run / "attention" / "heat_maps.json").write_text("{}")
    with pytest.raises(UserError, match="write it anew with `saccade explain"):
        write_report(run)


@pytest.mark.parametrize(
    ("phase", "age", "status"),
    [
        ("training", 1.0, "running, at step 430"),
        ("training", 4000.0, "stopped at step 430"),
        ("failed", 4000.0, "failed at step 430"),
    ],
)
def test_a_run_without_a_result(tmp_path: Path, phase: str, age: float, status: str) -> None:
    run = write_run(tmp_path / "demo", steps=430, ended=False)
    write_progress(run, phase, age, step=425)
    page = write_report(run).read_text()
    seen = text(page)
    assert headings(page) == HEADINGS
    assert seen.startswith(f"demo {status} task")
    assert "There is no result.json" in seen
    assert "valid, at step 400" in seen
    assert "training 2 min 52 s" in seen


def test_a_run_without_validation(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path / "demo", validation=False)).read_text()
    assert "no validation curves" in text(page)
    assert "No validation metrics were logged" in text(page)
    assert not any(title.startswith("valid/") for title in charts(page))
    assert "test/ndcg@10" in text(page)


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=0, ended=False)
    (run / "run.json").write_text("{}")
    (run / "history.jsonl").unlink()
    page = write_report(run).read_text()
    seen = text(page)
    assert headings(page) == HEADINGS
    assert "stopped at step 0" in seen
    for missing in ("No step has been logged yet", "nothing about the data", "nothing about the machine"):
        assert missing in seen


def test_values_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>&\"'$x^2$"
    run = write_run(tmp_path / "demo", name=evil)
    record = json.loads((run / "run.json").read_text())
    record["data"] |= {"path": evil, "columns": {evil: evil}}
    record["engine"] |= {"name": evil, evil: evil}
    (run / "run.json").write_text(json.dumps(record))
    (run / "job.yaml").write_text((run / "job.yaml").read_text() + "note: <script>alert(1)</script>\n")
    with (run / "history.jsonl").open("a") as history:
        for step in (1001, 1002):
            numbers = {f"train/{evil}": 1.0, f"valid/{evil}@1": 1.0, f"valid/{evil}@2": 1.0}
            history.write(json.dumps({"step": step, "time": 1.78e9, "seconds": 400.0} | numbers) + "\n")
    page = write_report(run).read_text()
    assert_self_contained(page)
    assert text(page).count("<script>alert(1)</script>") > 8
    assert page.count("<svg") == page.count("</svg>") == 14


def test_the_output_goes_where_it_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "demo", steps=20)
    assert write_report(run, tmp_path / "page.html") == tmp_path / "page.html"
    assert not (run / "report.html").exists()
    with pytest.raises(UserError, match="can't write the report to"):
        write_report(run, tmp_path / "absent" / "page.html")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such run folder"):
        write_report(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no job\.yaml and no run\.json"):
        write_report(tmp_path)
    run = write_run(tmp_path / "demo", steps=20)
    (run / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is not JSON"):
        write_report(run)


def test_a_browser_shows_it(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    run = write_run(tmp_path / "demo")
    add_heat_maps(run)
    page = write_report(run)
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [chromium, "--headless", "--no-sandbox", *quiet, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert headings(done.stdout) == ["Curves", "Metrics", "Attention", *HEADINGS[2:]]
    assert len(re.findall(r"<svg", done.stdout)) == 11 + 3
    assert_self_contained(done.stdout)
