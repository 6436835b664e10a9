from __future__ import annotations

import json

from saccade.plugins.wandb.report import TITLE_LENGTH, Content, build_report, report_as_json

CONTENT = Content(
    title="a run " * 40,
    description="next_item",
    summary="| test/ndcg@10 | 0.15 |\n|---|---|",
    plots={"training loss": ["train/loss"], "valid/ndcg": ["valid/ndcg@5", "valid/ndcg@10"], "speed": ["train/e"]},
    job="run: {name: demo}\n",
)


def test_the_report_shows_this_run_over_the_global_step_and_compares_it() -> None:
    value = report_as_json(CONTENT, "saccade", "team", "run12345")
    assert json.loads(json.dumps(value)) == value
    assert (value["project"], value["entity"], len(value["title"])) == ("saccade", "team", TITLE_LENGTH)
    grids = [block for block in value["spec"]["blocks"] if block["type"] == "panel-grid"]
    plots, comparison = (grid["metadata"]["panelBankSectionConfig"]["panels"] for grid in grids)
    assert [plot["config"]["metrics"] for plot in plots] == [list(names) for names in CONTENT.plots.values()]
    assert {plot["config"]["xAxis"] for plot in plots} == {"step"}
    assert [(plot["layout"]["x"], plot["layout"]["y"]) for plot in plots] == [(0, 0), (12, 0), (0, 8)]
    assert comparison[0]["viewType"] == "Run Comparer"
    (filtered,) = grids[0]["metadata"]["runSets"][0]["filters"]["filters"]
    assert (filtered["key"]["name"], filtered["op"], filtered["value"]) == ("name", "=", "run12345")
    assert "0.15" in json.dumps(value["spec"])
    assert "run: {name: demo}" in json.dumps(value["spec"])


def test_no_plots_make_no_trouble() -> None:
    report = build_report(Content("run", "", "", {}, ""), "saccade", None, "run12345")
    assert report.project == "saccade"
