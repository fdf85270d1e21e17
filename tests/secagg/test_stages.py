"""The stages: one name and one number each, in the order of a session."""

import pickle

from secagg.stages import Stage


def test_names_and_numbers_are_those_of_the_page():
    assert [(stage.number, stage.value) for stage in Stage] == [
        (0, "advertise_keys"),
        (1, "share_keys"),
        (2, "masked_input"),
        (3, "consistency"),
        (4, "unmask"),
    ]


def test_a_stage_is_its_name_wherever_a_string_is_meant():
    assert Stage.MASKED_INPUT == "masked_input"
    assert f"{Stage.UNMASK}" == "unmask"
    assert Stage("consistency") is Stage.CONSISTENCY
    assert {"share_keys": 1}[Stage.SHARE_KEYS] == 1
    assert pickle.loads(pickle.dumps(Stage.UNMASK)) is Stage.UNMASK
