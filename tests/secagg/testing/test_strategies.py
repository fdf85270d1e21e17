"""Strategies draw what sessions accept, and reach every kind of it."""

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from secagg import AdversaryModel, SessionParams, Suite
from secagg.primitives.packing import word_dtype
from secagg.testing import answering, session_params, vectors


@given(st.data())
def test_parameters_keep_to_what_was_asked_for(data: st.DataObject):
    graphs = data.draw(st.sampled_from(("complete", "sparse", "both")))
    adversary = data.draw(st.sampled_from(AdversaryModel))
    params = data.draw(session_params(max_cohort=8, max_length=5, adversaries=[adversary], graphs=graphs))
    assert SessionParams.decode(params.encode()) == params
    assert params.adversary is adversary
    assert params.cohort_size <= 8
    assert params.vector_length <= 5
    complete = params.neighbours == params.cohort_size - 1
    assert complete if graphs == "complete" else graphs == "both" or not complete or params.cohort_size == 3


@given(st.data())
def test_every_client_has_a_vector_that_its_session_takes(data: st.DataObject):
    params = data.draw(session_params())
    inputs = data.draw(vectors(params))
    assert len(inputs) == params.cohort_size
    for client, vector in inputs.items():
        assert 0 <= client < 2**64
        assert vector.shape == (params.vector_length,)
        assert vector.dtype == word_dtype(params.modulus_bits)
        assert all(value < 2**params.modulus_bits for value in vector.tolist())


def test_edges_and_anything_between_are_drawn():
    params = SessionParams(cohort_size=4, threshold=3, vector_length=3, modulus_bits=20, suite=Suite.CHACHA20)
    entries = vectors(params).map(lambda inputs: {value for vector in inputs.values() for value in vector.tolist()})
    for wanted in (lambda found: 2**20 - 1 in found, lambda found: any(1 < value < 2**20 - 1 for value in found)):
        assert wanted(find(entries, wanted, settings=settings(phases=[Phase.generate], max_examples=500)))


@given(st.sets(st.integers(0, 50)), st.data())
def test_who_answers_is_some_of_those_asked(clients: set[int], data: st.DataObject):
    assert data.draw(answering(clients)) <= clients
