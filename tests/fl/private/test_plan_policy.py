"""fl.private.plan_policy: a policy accepts the session of its plan, and no other."""

from tests.kit.private_round_scene import planned, public_keys


def test_a_policy_accepts_the_plans_session_and_pins_it():
    plan = planned()
    policy = plan.policy(2, public_keys(plan))
    params = plan.session_params(2)
    policy.check(params)
    assert (policy.min_cohort, policy.max_cohort) == (plan.min_survivors, plan.clients)
    assert policy.required_survivors(params) == plan.min_survivors == 4
    assert policy.application == params.application
    assert (policy.round_number, policy.vector_length, policy.modulus_bits) == (2, 16, plan.noise.modulus_bits)
    assert policy.identities == public_keys(plan)
