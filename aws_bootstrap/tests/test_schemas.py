"""The JSON Schemas under docs/schemas: in step with the results, and true of every document."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError

import schemas
from aws_bootstrap import models
from aws_bootstrap.models import Result, document
from aws_bootstrap.tests.schema_check import FIRST, open_to_keys, validate, with_unknown_prices
from aws_bootstrap.tests.test_output import RESULTS, failure

ALL = schemas.schemas()
NAMES = {kind: name for name, kind in schemas.DOCUMENTS.items()}


@pytest.mark.parametrize("name", ALL)
def test_the_schemas_in_the_docs_are_fresh(name):
    path = schemas.FOLDER / f"{name}.json"
    assert path.read_text() == schemas.text(ALL[name]), "run: python docs/make/schemas.py"
    Draft202012Validator.check_schema(ALL[name])


def test_every_result_and_nothing_else_has_a_schema():
    assert {path.stem for path in schemas.FOLDER.iterdir()} == set(ALL)
    kinds = {c for c in vars(models).values() if isinstance(c, type) and issubclass(c, Result)} - {Result}
    assert kinds == set(NAMES)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_document_is_as_its_schema_says(result):
    shown = json.loads(json.dumps(result.to_dict()))
    validate(NAMES[type(result)], shown)
    if isinstance(shown, dict):
        validate(NAMES[type(result)], shown | {"error": document(failure().report)})


@pytest.mark.parametrize("name", sorted(path.stem for path in FIRST.iterdir()))
def test_keys_are_added_to_a_schema_and_never_taken_away(name):
    """`validate` holds each document against the first schema, too; here it is the schemas that are compared."""
    first = json.loads((FIRST / f"{name}.json").read_text())
    for path, older in objects(first):
        newer = ALL[name]
        for word in path:
            newer = newer[word]
        assert set(older["properties"]) <= set(newer["properties"]), path
        assert set(older["required"]) <= set(newer["required"]), path


def objects(schema: dict) -> list[tuple[tuple[str, ...], dict]]:
    """The schema's objects, and the words that lead to each."""
    parts = [((), schema), *((("$defs", name), part) for name, part in schema["$defs"].items())]
    return [(path, part) for path, part in parts if "properties" in part]


def test_a_document_that_lacks_a_key_of_the_first_schema_is_refused():
    shown = json.loads(json.dumps(RESULTS[1].to_dict())) | {"surprise": 1}
    older = open_to_keys(json.loads((FIRST / "launch.json").read_text()))
    Draft202012Validator(older).validate(shown)
    del shown["instance_id"]
    with pytest.raises(ValidationError):
        Draft202012Validator(older).validate(shown)


def test_null_is_read_for_no_value_of_the_first_schemas_but_a_price():
    older = with_unknown_prices(json.loads((FIRST / "status.json").read_text()))
    orphan = {"$ref": "#/$defs/OrphanVolume", "$defs": older["$defs"]}
    shown = {
        "volume_id": "vol-1",
        "region": "us-west-2",
        "size_gb": 8,
        "monthly_cost_usd": None,
        "last_instance_id": None,
    }
    Draft202012Validator(orphan).validate(shown)
    with pytest.raises(ValidationError):
        Draft202012Validator(orphan).validate(shown | {"size_gb": None})


def test_a_failure_that_knows_nothing_is_as_the_schema_says():
    validate("error", {"warnings": [], "next": [], "error": document(failure().report)})


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_key_more_or_less_is_not(result):
    shown = json.loads(json.dumps(result.to_dict()))
    if not shown:
        return
    record = shown[0] if isinstance(shown, list) else shown
    record["surprise"] = 1
    with pytest.raises(ValidationError):
        validate(NAMES[type(result)], shown)
    del record["surprise"]
    del record["region" if isinstance(shown, list) else "regions_failed"]
    with pytest.raises(ValidationError):
        validate(NAMES[type(result)], shown)
