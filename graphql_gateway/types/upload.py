"""Files that become rows or parts of datasets."""

from typing import Any

from ariadne import EnumType, MutationType, ScalarType
from ariadne.types import SchemaBindable
from graphql import GraphQLError, ValueNode

from graphql_gateway.multipart import UploadedFile
from graphql_gateway.rest_client import Info
from graphql_gateway.types.answers import answering

ANSWERED = (400, 403, 404, 409, 412)
ROUTE = "/data/upload"


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    mutation = MutationType()
    mutation.set_field("uploadFile", upload_file)
    mode = EnumType("UploadMode", {"CREATE": "create", "APPEND": "append", "OVERWRITE": "overwrite"})
    return [mutation, mode, ScalarType("Upload", value_parser=to_file, literal_parser=no_literal)]


def to_file(value: Any) -> UploadedFile:
    """The file of a multipart request. Raises GraphQLError."""
    if not isinstance(value, UploadedFile):
        raise GraphQLError("Upload takes a file of a GraphQL multipart request, neither a text nor an address")
    return value


def no_literal(_node: ValueNode, _variables: dict[str, Any] | None = None) -> UploadedFile:
    """Raises GraphQLError: no document holds a file."""
    return to_file(None)


@answering(*ANSWERED)
async def upload_file(_: object, info: Info, file: UploadedFile, **given: str | None) -> dict[str, Any]:
    """What came of a file, which passes through as it comes."""
    fields = {name: value for name, value in given.items() if value is not None}
    return await file.send(ROUTE, fields, info.context)
