"""The API does what its description says, whatever it is asked: schemathesis makes up the requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance

from appliance.registry.database import Registry
from tests.unit.appliance.control.box_of_pcs import BoxOfPcs

EXAMPLES = 5
"""Requests of each kind for each route."""


_THOROUGH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def attack(box: BoxOfPcs, token: str, mode: GenerationMode) -> int:
    """Ask every route what schemathesis makes up; returns how many requests that were."""
    schema: Any = schemathesis.openapi.from_dict(box.ask("/api/v1/openapi.json").json())
    schema.app = box.app
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) > 18
    return sum(attack_route(operation, token, mode) for operation in operations)


def attack_route(operation: Any, token: str, mode: GenerationMode) -> int:
    """Ask one route."""
    asked = 0
    # Whether a valid request names something that there is, no description can say.
    lenient = [] if operation.method.upper() == "GET" else [positive_data_acceptance]

    @_THOROUGH
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(base_url="https://testserver", headers={"Authorization": f"Bearer {token}"})
        case.validate_response(answer, excluded_checks=lenient)

    ask()
    return asked


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_with_a_token_that_may_change_everything(own: BoxOfPcs, mode: GenerationMode) -> None:
    assert attack(own, own.writer, mode) > 50
    assert own.ask("/api/v1/fleet").status_code == 200


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_with_a_token_that_may_only_look_and_nothing_is_changed(own: BoxOfPcs, mode: GenerationMode) -> None:
    with Registry(own.registry) as registry:
        before = list(registry.sql.iterdump())
    assert attack(own, own.reader, mode) > 50
    with Registry(own.registry) as registry:
        assert list(registry.sql.iterdump()) == before


def test_every_route_is_described_with_its_errors(filled: BoxOfPcs) -> None:
    described = filled.ask("/api/v1/openapi.json").json()
    assert described["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    names = []
    for methods in described["paths"].values():
        for each in methods.values():
            names.append(each["operationId"])
            assert each["description"]
            assert {"401", "403", "422", "503"} <= each["responses"].keys()
            for status, answer in each["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}, each["operationId"]
    assert len(set(names)) == len(names)
    assert "list_pcs" in names
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_a_parameter_that_there_is_not_is_said(filled: BoxOfPcs) -> None:
    answer = filled.ask("/api/v1/pcs?stat=idle")
    assert answer.status_code == 422
    assert answer.json()["message"] == "there is no parameter 'stat'"
    assert "state" in answer.json()["hint"]
