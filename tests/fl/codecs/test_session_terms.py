"""The parameters of a codec's session: its bytes are bound, and a certificate for another cohort is refused."""

import pytest

from fl.codecs.session_terms import application_of, session_of
from secagg import InvalidParameterError, Suite


def test_the_label_and_the_settings_are_bound_and_the_users_bytes_follow():
    one = application_of(label=b"a", settings=b"settings", user=b"user")
    assert one[:1] == b"a"
    assert one.endswith(b"user")
    other = application_of(label=b"b", settings=b"settings", user=b"user")
    third = application_of(label=b"a", settings=b"others", user=b"user")
    assert len({one, other, third}) == 3
    with pytest.raises(InvalidParameterError, match="at most 222"):
        application_of(label=b"a", settings=b"settings", user=bytes(223))


def test_without_a_certificate_the_graph_is_complete():
    params = session_of(
        vector_length=3,
        modulus_bits=16,
        clients=5,
        application=b"x",
        certificate=None,
        adversary=None,
        suite=Suite.AES_128_CTR,
        min_survivors=0,
        round_number=7,
    )
    assert (params.cohort_size, params.vector_length, params.modulus_bits, params.round_number) == (5, 3, 16, 7)
    assert params.active
