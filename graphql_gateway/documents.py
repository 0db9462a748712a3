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
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from graphql_gateway.costs import Costs
from graphql_gateway.errors import Failure, TooLarge
from graphql_gateway.limits import Limits, check

MAX_KEPT = 256
MAX_KEPT_CHARACTERS = 4_000
# A document takes 150 times the memory of its text: 30 MB at most.
MAX_KEPT_TOGETHER = 200_000
MAX_TEXTS = 128
MAX_TEXT_CHARACTERS = 10_000
# An error shows the value it is about, which may be most of the document.
MAX_ERRORS = 3
MAX_COMMENTS = 500
# Room for an article of 100,000 characters written into the document; with many escapes it goes into a variable.
MAX_CHARACTERS = 120_000
MAX_ESCAPES = 20_000
MAX_COMPARISONS = 8_000
ABORTED = "Validation aborted."
Rules = tuple[type[ASTValidationRule], ...]


class BoundedOverlaps(OverlappingFieldsCanBeMergedRule):
    """The rule of the specification whose work grows with the square of the document, given up early."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = MAX_COMPARISONS


RULES = tuple(BoundedOverlaps if each is OverlappingFieldsCanBeMergedRule else each for each in specified_rules)


@dataclass(frozen=True)
class Prepared:
    """A document, or why it is refused."""

    document: DocumentNode | None
    errors: Sequence[GraphQLError | Failure] = ()
    costs: Costs | None = None

    @property
    def runnable(self) -> DocumentNode:
        """The document of one that was not refused."""
        if self.document is None:
            raise ValueError("the document was refused")
        return self.document

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """The operation that a request means; None when it is not clear."""
        return get_operation_ast(self.document, name) if self.document else None


class Documents:
    """Prepares documents for a schema and keeps the last ones, by their text and the rules they passed."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, rules: Rules = RULES) -> None:
        self._schema = schema
        self._limits = limits
        self._rules = rules
        self._kept: OrderedDict[tuple[str, Rules], Prepared] = OrderedDict()
        self._kept_characters = 0
        self._texts: OrderedDict[str, str] = OrderedDict()

    def kept_text(self, sha256: str) -> str | None:
        """A text that was kept under its hash."""
        return self._texts.get(sha256)

    def keep_text(self, sha256: str, text: str) -> None:
        """Keep a text, unless it is long, in the place of the one kept first where there are many."""
        if len(text) <= MAX_TEXT_CHARACTERS:
            self._texts[sha256] = text
            while len(self._texts) > MAX_TEXTS:
                self._texts.popitem(last=False)

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
            self._kept_characters += len(text)
            self._forget()
        return prepared

    def _forget(self) -> None:
        """Let go of the documents used longest ago, where there are too many or they are too long together."""
        while len(self._kept) > MAX_KEPT or self._kept_characters > MAX_KEPT_TOGETHER:
            (text, _rules), _prepared = self._kept.popitem(last=False)
            self._kept_characters -= len(text)

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parsed(text, self._limits)
        except (GraphQLError, TooLarge) as error:
            return Prepared(None, [error])
        errors = validate(self._schema, document, self._rules, max_errors=MAX_ERRORS)
        if any(error.message == ABORTED for error in errors):
            return Prepared(None, [TooLarge("The document repeats too many fields or fragments in one place")])
        if errors:
            return Prepared(None, errors)
        return Prepared(document, costs=Costs.of(self._schema, document))


def parsed(text: str, limits: Limits) -> DocumentNode:
    """The document in a text. Raises GraphQLError for what is none, TooLarge."""
    if text.count("\\") + text.count("\n") > MAX_ESCAPES:
        raise TooLarge(f"The document has more than {MAX_ESCAPES} backslashes and lines")
    try:
        document = parse(
            text, max_lexical_tokens=limits.tokens, max_comments=MAX_COMMENTS, max_source_length=MAX_CHARACTERS
        )
    except GraphQLSyntaxError as error:
        # The parser has one exception for typing errors and limits; only the latter abort it.
        if not error.message.endswith("Parsing aborted."):
            raise
        words = f"more than {limits.tokens} words and signs or {MAX_CHARACTERS:,} characters"
        raise TooLarge(f"The document has {words}, or is nested too deeply") from error
    check(document, limits)
    return document


def operation_name(operation: OperationDefinitionNode | None) -> str:
    """What an operation is called: its own name, else that of its first field."""
    if operation is None:
        return "invalid"
    if operation.name is not None:
        return operation.name.value
    fields = [each for each in operation.selection_set.selections if isinstance(each, FieldNode)]
    return fields[0].name.value if fields else "fragment"
