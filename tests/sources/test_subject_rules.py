"""Subjects are read from paths by the rule the user names, and by no other."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.errors import UsageError
from leakscan.sources.subject_rules import parse_subject_rule


@pytest.mark.parametrize(
    ("rule", "path", "subject"),
    [
        ("bids", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", "01"),
        ("bids", "derivatives/x/sub-Ab9/anat/T1w.nii", "Ab9"),
        ("bids", "sub-11_T1w.nii.gz", "11"),
        ("bids", "subject-01/T1w.nii", ""),
        ("bids", "mysub-01/T1w.nii", ""),
        ("chestxray14", "images/00012345_006.png", "00012345"),
        ("chestxray14", "00012345_006.jpg", "00012345"),
        ("chestxray14", "100012345_006.png", ""),
        ("chestxray14", "00012345_06.png", ""),
        ("chexpert", "train/patient00123/study2/view1_frontal.jpg", "patient00123"),
        ("chexpert", "patient00123/view1_frontal.jpg", ""),
        ("regex:^(p[0-9]+)/", "p7/film.png", "p7"),
        ("regex:(?P<site>[a-z]+)_(?P<subject>[0-9]+)", "nih_42.png", "42"),
        ("regex:(a)|b", "b.png", ""),
        ("regex:患者(.+)/", "患者七/胸.png", "七"),
        ("regex:(é+)", "e\u0301.png", "é"),
    ],
)
def test_a_rule_reads_the_subject_from_the_path(rule: str, path: str, subject: str) -> None:
    assert parse_subject_rule(rule).subject(path) == subject


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bidz", "Did you mean bids"),
        ("nih", "Choose"),
        ("regex:(", "regular expression"),
        ("regex:p[0-9]+", "group"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_advice(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_subject_rule(text)
    assert says in caught.value.message + caught.value.hint


def test_a_rule_travels_to_workers() -> None:
    rule = pickle.loads(pickle.dumps(parse_subject_rule("bids")))
    assert rule.subject("sub-07/x.nii") == "07"


@given(st.text(), st.sampled_from(["bids", "chestxray14", "chexpert", "regex:(x)"]))
def test_no_path_makes_a_rule_fail(path: str, rule: str) -> None:
    subject = parse_subject_rule(rule).subject(path)
    assert subject == subject.strip()
