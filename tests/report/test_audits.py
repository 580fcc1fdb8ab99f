from __future__ import annotations

from llamabench.records import Audit
from llamabench.report.audits import describe_audit


def said(audit: Audit) -> str:
    return describe_audit(audit).replace("\u00a0", " ")


def test_an_audit_says_how_far_and_how_many() -> None:
    assert said(Audit("bbq", 20, 1, 57, 0.0612, 0.0123, "Age-7", 2, ("Age-3", "Age-9"))) == (
        "20 items were scored again, one sequence at a time; of 57 log-probabilities none moved by more than 0.061 "
        "(0.012 per token, item Age-7); 1 item gave no number; 2 answers changed (Age-3, Age-9). Small "
        "differences are usual: last digits depend on what shares a batch, and the rounding of quantized activations "
        "makes more of them. Answers that change are what counts."
    )


def test_an_audit_without_changes() -> None:
    assert said(Audit("bbq", 1, 0, 1, 0.0, 0.0, "Age-7", 0)).endswith("item Age-7); no answer changed.")


def test_an_audit_that_could_compare_nothing() -> None:
    assert said(Audit("bbq", 2, 2, 0, None, None, None, 0)) == (
        "2 items were scored again, one sequence at a time; 2 items gave no number; no answer changed."
    )
