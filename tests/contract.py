"""The codes of the API, their messages and HTTP statuses, and the shape of every refusal."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent / "seed_api.rst"
PREFIX = "/api/v1/engine/recocomp"
ENDPOINTS = [
    "/version",
    "/license",
    "/create/collection",
    "/clear/collection",
    "/delete/collection",
    "/collection/status",
    "/face/insert",
    "/face/update",
    "/delete/id",
    "/face/feature",
    "/face/search/feature",
    "/person/list",
    "/person/get",
    "/face/detect",
    "/face/search",
    "/face/compare",
]

MESSAGES = {
    500: "Internal server error",
    1001: "Database error",
    1002: "Collection quota exceeded",
    1003: "Invalid collection name",
    1004: "Collection already exists",
    1005: "Please check collection name",
    1006: "Collection does not exist",
    1007: "Target_id quota exceeded",
    1008: "Update vectors unsuccessfully",
    1009: "No face detected",
    1010: "Invalid image",
    1011: "Invalid parameter",
    1012: "License not authorized",
    1013: "Target_id does not exist",
    1014: "Server busy",
    1015: "Authentication required",
    1016: "Presentation attack suspected",
    1017: "Face quality too low",
    1018: "Face already enrolled",
}

HTTP_STATUS = {1011: {400}, 1014: {503}, 1015: {401, 403}, **{code: {code} for code in (400, 404, 405, 408, 413, 414, 415, 417, 429, 431, 500, 501, 505)}}

# What every answer of insert carries, also the failed ones; update adds target_invalid.
BATCH_FIELDS = {"err_code", "status", "success_num", "invalid", "quota_exceeded_target_id"}


def documented_messages() -> dict[int, str]:
    """The table of codes at the end of the API document."""
    rows = re.findall(r"^\| (1\d{3}) +\| ([A-Za-z_ ]+?) +\|", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    return {int(code): message for code, message in rows}


def assert_error(answer, code: int) -> None:
    """The answer is the JSON error object of `code`: its message and its HTTP status."""
    assert answer.get("err_code") == code, f"expected {code} {MESSAGES.get(code)!r}, got HTTP {answer.http}: {answer}"
    assert answer.http in HTTP_STATUS.get(code, {200}), f"{code} with HTTP {answer.http}"
    assert answer.content_type.startswith("application/json"), answer.content_type
    if code in MESSAGES:
        assert answer["status"] == MESSAGES[code]
    else:
        assert isinstance(answer["status"], str) and answer["status"]
    detail = answer.get("detail", "not given")
    assert isinstance(detail, str) and detail.strip(), f"detail is one sentence or absent, got {detail!r}"


def assert_batch(
    answer, stored: int, invalid: dict[int, str] | None = None, over_quota: list[str] | None = None
) -> None:
    """The report of an insert or update: how many were stored, which index with which id was not, which ids were full."""
    assert BATCH_FIELDS <= set(answer), f"an answer keeps all its list fields: {answer}"
    invalid = invalid or {}
    assert answer["success_num"] == stored, answer
    message = answer["invalid"]["message"]
    assert answer["invalid"]["invalid_num"] == len(invalid), answer
    assert dict(zip(message["invalid_index"], message["invalid_id"], strict=True)) == invalid, answer
    assert len(message["invalid_index"]) == len(invalid), answer
    assert sorted(answer["quota_exceeded_target_id"]) == sorted(over_quota or []), answer
