"""Documents made ready to run: parsed, measured and validated once, then kept."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from graphql_gateway.errors import Failure, TooLarge
from graphql_gateway.limits import Limits, check

MAX_KEPT = 256
MAX_KEPT_CHARACTERS = 4_000
MAX_ERRORS = 20
MAX_COMMENTS = 500
# Room for an article of 100,000 characters written into the document, escapes included.
MAX_CHARACTERS = 250_000
Rules = tuple[type[ASTValidationRule], ...]


@dataclass(frozen=True)
class Prepared:
    """A document, or why it is refused."""

    document: DocumentNode | None
    errors: Sequence[GraphQLError | Failure] = ()

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation that a request means; None when it is not clear."""
        return get_operation_ast(self.document, name) if self.document else None


class Documents:
    """Prepares documents for a schema and keeps the last ones, by their text and the rules they passed."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, rules: Rules = tuple(specified_rules)) -> None:
        self._schema = schema
        self._limits = limits
        self._rules = rules
        self._kept: OrderedDict[tuple[str, Rules], Prepared] = OrderedDict()

    def prepare(self, text: str) -> Prepared:
        """The document in a text."""
        key = (text, self._rules)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        prepared = self._prepare(text)
        if len(text) <= MAX_KEPT_CHARACTERS:
            self._kept[key] = prepared
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return prepared

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(
                text,
                max_lexical_tokens=self._limits.tokens,
                max_comments=MAX_COMMENTS,
                max_source_length=MAX_CHARACTERS,
            )
            check(document, self._limits)
        except GraphQLSyntaxError as error:
            return Prepared(None, [self._too_large(error) or error])
        except GraphQLError as error:
            return Prepared(None, [error])
        except TooLarge as failure:
            return Prepared(None, [failure])
        errors = validate(self._schema, document, self._rules, max_errors=MAX_ERRORS)
        return Prepared(None if errors else document, errors)

    def _too_large(self, error: GraphQLSyntaxError) -> TooLarge | None:
        """The parser has one exception for typing errors and limits; only the latter abort it."""
        if not error.message.endswith("Parsing aborted."):
            return None
        words = f"more than {self._limits.tokens} words and signs or {MAX_CHARACTERS:,} characters"
        return TooLarge(f"The document has {words}, or is nested too deeply")


def operation_name(operation: OperationDefinitionNode | None) -> str:
    """What an operation is called: its own name, else that of its first field."""
    if operation is None:
        return "invalid"
    if operation.name is not None:
        return operation.name.value
    fields = [each for each in operation.selection_set.selections if isinstance(each, FieldNode)]
    return fields[0].name.value if fields else "fragment"
