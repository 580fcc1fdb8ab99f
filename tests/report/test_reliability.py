"""How far predictions came true, as a picture."""

from __future__ import annotations

from llamabench.records import Metric
from llamabench.report.reliability import draw_reliability, is_about_reliability
from llamabench.report.scores import ScoreSheet


def bins(suffix: str = "") -> list[Metric]:
    group = "confidence 0.7 to 0.8"
    return [
        Metric("agreement_sum", 0.5, 20, 0.3, 0.7, "Wilson"),
        Metric(f"confidence{suffix}", 0.75, 20, None, None, "none", group),
        Metric(f"confirmed{suffix}", 0.5, 20, 0.3, 0.7, "Wilson", group),
        Metric(f"confidence{suffix}", None, 0, None, None, "none", "confidence 0.8 to 0.9"),
        Metric(f"confirmed{suffix}", None, 0, None, None, "none", "confidence 0.8 to 0.9"),
    ]


def test_a_bin_stands_at_its_confidence_and_what_came_true() -> None:
    (plot,) = draw_reliability(bins(), name=str.upper)
    (point,) = plot.points
    assert plot.title == "CONFIRMED"
    assert (point.x, point.y, point.low, point.high) == (50, 50, 70, 30)
    assert (point.confidence, point.confirmed, point.n) == ("75.0\xa0%", "50.0\xa0% [30.0, 70.0]", "20")


def test_each_kind_of_prediction_has_its_picture() -> None:
    plots = draw_reliability([*bins(), *bins("_reward")], name=str)
    assert [plot.title for plot in plots] == ["confirmed", "confirmed_reward"]
    assert draw_reliability(bins()[:1], name=str) == ()


def test_bins_are_no_groups() -> None:
    sheet = ScoreSheet("preference", 0.5, ("agreement_sum",), bins())
    assert sheet.group_table() is None
    assert sheet.group_plots() == ()
    assert [row.name for row in sheet.rows()] == ["agreement_sum"]
    (plot,) = sheet.reliability()
    assert plot.title == "Margin: how sure and how often right"
    assert is_about_reliability("confirmed_reward")
    assert not is_about_reliability("confusion")
