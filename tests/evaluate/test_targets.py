"""The targets: whether a number reaches them, and where it stands in the report."""

from pullback_core.evaluate.targets import Target, find, targets


def test_a_target_is_met_by_its_value():
    least, most = Target("a", ("x",), least=0.9), Target("b", ("x",), most=0.2)
    assert least.is_met([0.9, 0.1, 1.0]) and not least.is_met([0.89, 0.8, 1.0])
    assert most.is_met([0.2, 0.1, 0.9]) and not most.is_met([0.21, 0.0, 0.3])
    assert (least.bound, most.bound) == ("at least 0.9", "at most 0.2")


def test_a_number_is_found_by_its_keys():
    report = {"a": {"b": [1, 0, 2]}}
    assert find(report, ("a", "b")) == [1, 0, 2]
    assert find(report, ("a", "c")) is None


def test_every_target_is_in_the_report_of_an_evaluation(evaluation):
    _, report = evaluation
    missing = [target.title for target in targets(0.5) if find(report, target.path) is None]
    # The small evaluation edits the mouth alone, and may carry no direction of a form.
    assert [title for title in missing if not title.startswith(("mask of", "transport of forms"))] == []
