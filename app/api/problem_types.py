"""The catalogue of problems: stable codes, their statuses, and what each means to the person who gets it."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.api.schemas import ConflictProblem, InvalidRequestProblem, Problem, TooLargeProblem


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem; `explanation` is for the people who follow its type URI."""

    code: str
    status: int
    title: str
    explanation: str
    schema: type[Problem] = Problem


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    kind.code: kind
    for kind in (
        ProblemType(
            "malformed-request",
            400,
            "Malformed request",
            "The request cannot be read: a body that is not strict JSON (UTF-8, no duplicate member names, no "
            "NaN or Infinity, no lone surrogates, no extreme nesting), a precondition header that is not a "
            "list of entity-tags, or what is no HTTP request at all. `detail` says where. Nothing was written.",
        ),
        ProblemType(
            "unauthorized",
            401,
            "Unauthorized",
            "The request has no access token, or one that is not accepted; `detail` says why. Send one of the "
            "issuer that the service trusts, as `Authorization: Bearer <token>` (RFC 6750). Nothing was read or "
            "written.",
        ),
        ProblemType(
            "forbidden",
            403,
            "Forbidden",
            "The access token lacks the scope that the operation needs, which `WWW-Authenticate` names then; or the "
            "playlist is not yours to change: only its owner or an admin may, and one without an owner an admin alone "
            "if the service is not set otherwise. This request has changed nothing.",
        ),
        ProblemType(
            "playlist-not-found",
            404,
            "Playlist not found",
            "There is no playlist with this token, or it was deleted while the request was served.",
        ),
        ProblemType("not-found", 404, "No such resource", "The service has nothing at this path."),
        ProblemType(
            "method-not-allowed",
            405,
            "Method not allowed",
            "The path exists, but not with this method. `Allow` lists the methods that it has.",
        ),
        ProblemType(
            "method-not-implemented",
            501,
            "Method not implemented",
            "The service does not implement a method of this name. Methods are case-sensitive: `GET`, not `get`. "
            "OPTIONS on a path answers with `Allow`, which lists the methods that the path has.",
        ),
        ProblemType(
            "edit-conflict",
            409,
            "Edit conflict",
            "Another writer changed the playlist between this request's read and its write. Nothing was "
            "written. `current` is the playlist as it is now and `changed` says which members differ from what "
            "was read: merge, then retry with `If-Match: <current_etag>`.",
            ConflictProblem,
        ),
        ProblemType(
            "version-conflict",
            409,
            "Version conflict",
            "The `playlist_version` in the body is not the current one. Nothing was written. `current` is the "
            "playlist as it is now: merge, then retry with its version, or with `If-Match: <current_etag>`.",
            ConflictProblem,
        ),
        ProblemType(
            "playlist-exists",
            409,
            "Playlist exists",
            "Another writer created the playlist while this request was about to. Nothing was written. "
            "`current` is the playlist as it is now.",
            ConflictProblem,
        ),
        ProblemType(
            "patch-not-applicable",
            409,
            "Patch not applicable",
            "The current playlist does not allow an operation of the JSON Patch: a `test` failed, or there is "
            "nothing at a `path` or `from`. `detail` says which operation and why, counted from 0. Nothing was "
            "written. `current` is the playlist as it is now: make the patch anew from it, then send it with "
            "`If-Match: <current_etag>`.",
            ConflictProblem,
        ),
        ProblemType(
            "duplicate-track",
            409,
            "Duplicate track",
            "A track is in the playlist already, or twice in the request, and `on_duplicate` is `reject`. Nothing was "
            "written. `current` is the playlist as it is now.",
            ConflictProblem,
        ),
        ProblemType(
            "unwritable-item",
            409,
            "Unwritable item",
            "The stored `playlist_version` is missing, fractional, not a number or at the end of the 64-bit "
            "range, so no write can be locked on it. It can be read; whoever runs the table has to repair it.",
            ConflictProblem,
        ),
        ProblemType(
            "precondition-failed",
            412,
            "Precondition failed",
            "`If-Match` does not name the current state, or `If-None-Match` names it (RFC 9110 section 13). "
            "Nothing was written. `current` is the playlist as it is now, null where there is none: merge, then "
            "retry with `If-Match: <current_etag>`.",
            ConflictProblem,
        ),
        ProblemType(
            "playlist-too-large",
            413,
            "Playlist too large",
            "The playlist would outgrow DynamoDB's item limit of 409,600 bytes, counted by DynamoDB's size rule "
            "with all attributes, those of other programs among them. Nothing was written. `size` and `limit` "
            "are in bytes.",
            TooLargeProblem,
        ),
        ProblemType(
            "body-too-large",
            413,
            "Body too large",
            "The request body is over the limit. Nothing was written. `limit` is in bytes.",
            TooLargeProblem,
        ),
        ProblemType(
            "unsupported-media-type",
            415,
            "Unsupported media type",
            "The `Content-Type` is missing or not one that this resource takes. `Accept-Patch` (for PATCH) or "
            "`Accept` lists those that it takes. Content codings (gzip and others) are not taken.",
        ),
        ProblemType(
            "invalid-request",
            422,
            "Invalid request",
            "The body, or a query parameter, can be read but says something that is not allowed. `errors` points at "
            "each fault of the body with an RFC 6901 JSON Pointer, and names the parameter. Nothing was written.",
            InvalidRequestProblem,
        ),
        ProblemType(
            "idempotency-key-reused",
            422,
            "Idempotency key reused",
            "This `Idempotency-Key` came with another request on this playlist before: another method, path or body. "
            "Nothing was written. Use a new key for a new change, and send a repeat exactly as the first time.",
            InvalidRequestProblem,
        ),
        ProblemType(
            "precondition-required",
            428,
            "Precondition required",
            "This service is set to refuse changes that name no state (RFC 6585 section 3). Send `If-Match` "
            "with the entity-tag that your change was made from, or its `playlist_version` in the body of a merge "
            "patch or a PUT. A `test` in a JSON Patch is none.",
            ConflictProblem,
        ),
        ProblemType(
            "internal-error",
            500,
            "Internal error",
            "A fault of the service. Report it with the `request_id`.",
        ),
        ProblemType(
            "listing-unavailable",
            501,
            "Listing unavailable",
            "The table has no index `playlist_owner_index` to list playlists by, or it is still being built. "
            "Everything else works. Whoever runs the table adds it with the command that `playlists table check` "
            "prints.",
        ),
        ProblemType(
            "read-only-region",
            503,
            "Read-only Region",
            "The table is a global table whose Regions do not see each other's writes at once, so changes are "
            "accepted in one Region alone, which `detail` names. Nothing was written: send the change there.",
        ),
        ProblemType(
            "throttled",
            503,
            "Throttled",
            "DynamoDB had no capacity for the request. Nothing was written. Retry after `Retry-After` seconds.",
        ),
        ProblemType(
            "storage-unavailable",
            503,
            "Storage unavailable",
            "DynamoDB could not be reached, or refused to serve. Nothing was written. Retry after "
            "`Retry-After` seconds.",
        ),
        ProblemType(
            "authentication-unavailable",
            503,
            "Authentication unavailable",
            "The service has no keys of the issuer yet to check access tokens with. Nothing was read or written. "
            "Retry after `Retry-After` seconds.",
        ),
        ProblemType(
            "outcome-unknown",
            504,
            "Outcome unknown",
            "The write was sent and its answer was lost: it may or may not have been applied. Read the playlist "
            "and compare before you repeat the change; a repeat with the `If-Match` of the first attempt cannot "
            "overwrite anything.",
        ),
        ProblemType(
            "request-timeout",
            408,
            "Request timeout",
            "The headers or the body took too long to arrive. Nothing was written. The connection is closed.",
        ),
        ProblemType(
            "headers-too-large",
            431,
            "Headers too large",
            "The request line and the headers are over the limit that `detail` gives. Nothing was written. The "
            "connection is closed.",
        ),
        ProblemType(
            "overloaded",
            503,
            "Overloaded",
            "The service has as many requests in flight as it can serve in time. Nothing was written: retry after "
            "`Retry-After` seconds, with a back-off that grows and varies.",
        ),
        ProblemType(
            "draining",
            503,
            "Draining",
            "The process is about to end and asks for no new requests. It still serves those that come.",
        ),
    )
}
