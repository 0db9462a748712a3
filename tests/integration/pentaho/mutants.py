"""Small changes of the route's files, each of which PDI would take, and each of which is wrong."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.integration.pentaho.route import FILES


@dataclass(frozen=True)
class Mutant:
    """In a part of a file, the text of a step or an entry or all of it (''), something is replaced once."""

    file: str
    part: str
    old: str
    new: str
    where: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file.split('.')[0]}: {self.where or 'file'} {self.sentence}"[:80].replace(" ", "_")

    def write(self, folder: Path) -> Path:
        """A copy of the route in a folder, with the change; gives the changed file."""
        shutil.copytree(FILES, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        path = folder / self.file
        text = path.read_text(encoding="utf-8")
        part = _part(text, self.part)
        assert part.count(self.old), f"{self.old!r} is not in {self.part!r}"
        path.write_text(text.replace(part, part.replace(self.old, self.new, 1), 1), encoding="utf-8")
        return path


def _part(text: str, name: str) -> str:
    if not name:
        return text
    found = re.search(rf"<(step|entry)>\s*<name>{re.escape(name)}</name>.*?</\1>", text, re.DOTALL)
    assert found, name
    return found[0]


def _hop(source: str, target: str, more: str = "") -> str:
    return f"<from>{source}</from>\n      <to>{target}</to>\n      {more}"


def _without_hop(source: str, target: str) -> tuple[str, str]:
    return f"    <hop>\n      {_hop(source, target, '<enabled>Y</enabled>')}\n    </hop>\n", ""


def _tag(name: str, old: str, new: str) -> tuple[str, str]:
    return f"<{name}>{old}</{name}>", f"<{name}>{new}</{name}>"


SYNC, LOGIN, PASS, WINDOW, SAVE, JOB = (
    "articles_sync.ktr",
    "login.ktr",
    "read_pass.ktr",
    "read_window.ktr",
    "save_watermark.ktr",
    "articles_sync.kjb",
)
MUTANTS = [
    # The way of the rows.
    Mutant(SYNC, "", *_without_hop("Batch", "Token"), "Batch", "has its rows go nowhere"),
    Mutant(
        SYNC, "", _hop("Batch", "Token", "<enabled>Y"), _hop("Batch", "Token", "<enabled>N"), "Batch", "disabled hop"
    ),
    Mutant(SYNC, "", "<to>Stop on a gap</to>", "<to>Stop on a gab</to>", "Stop on a gab", "is not there"),
    Mutant(
        SYNC,
        "",
        *_without_hop("Log the lost batch", "Keep the lost batch"),
        "Keep the lost batch",
        "uses the field 'payload'",
    ),
    Mutant(SYNC, "", "<to>Other rows</to>", "<to>Read changes</to>", "Read changes", "in a circle of hops"),
    Mutant(SYNC, "", *_without_hop("Is it this one?", "Other rows"), "Is it this one?", "where no hop leads"),
    Mutant(SYNC, "", *_tag("to", "Log the gap", "Log trouble"), "Log trouble", "mixed layouts"),
    Mutant(SYNC, "", *_tag("to", "Keep the error", "Keep the answer"), "Keep the answer", "mixed layouts"),
    Mutant(
        SYNC,
        "",
        f"{_hop('Batch', 'Token')}<enabled>Y",
        f"{_hop('Batch', 'POST batch')}<enabled>Y",
        "POST batch",
        "which its rows do not have",
    ),
    Mutant(SYNC, "Other rows", *_tag("type", "Dummy", "Dumy"), "Other rows", "not known"),
    Mutant(SYNC, "POST batch", *_tag("copies", "1", "4"), "POST batch", "runs in 4 copies"),
    Mutant(SYNC, "", *_tag("size_rowset", "20", "10000"), "", "holds 10000 rows between two steps"),
    # Errors.
    Mutant(SYNC, "", *_tag("is_enabled", "Y", "N"), "POST batch", "error handling switched off"),
    Mutant(SYNC, "", *_tag("target_step", "Keep the error", "Log the error"), "POST one", "where no hop leads"),
    Mutant(SYNC, "", *_tag("source_step", "POST batch", "Token"), "Token", "cannot handle errors"),
    Mutant(SYNC, "Accepted?", *_tag("send_false_to", "One by one?", ""), "Accepted?", "such rows are lost"),
    Mutant(
        SYNC,
        "Accepted?",
        *_tag("send_true_to", "Rows that the answer names", "One by one?"),
        "Accepted?",
        "one way",
    ),
    Mutant(SYNC, "Accepted?", *_tag("leftvalue", "status", "state"), "Accepted?", "uses the field 'state'"),
    Mutant(SYNC, "Accepted?", *_tag("function", "=", "=="), "Accepted?", "compares by '=='"),
    Mutant(SYNC, "POST batch", *_tag("code", "status", ""), "POST batch", "keeps no status"),
    Mutant(SYNC, "Stop for good", "ABORT_WITH_ERROR", "ABORT", "Stop for good", "stops without an error"),
    Mutant(SYNC, "Stop on a gap", *_tag("row_threshold", "0", "10"), "Stop on a gap", "lets 10 rows pass"),
    Mutant(SYNC, "Stop on a gap", *_tag("type", "Abort", "Dummy"), "Stop on a gap", "has <abort_option>"),
    Mutant(
        SYNC, "Refused any?", *_tag("leftvalue", "refused_index", "batch"), "Refused rows", "nobody looks whether it is"
    ),
    # Batches and calls.
    Mutant(SYNC, "Batch", "<name>origin</name>", "<name>orign</name>", "Batch", "uses the field 'orign'"),
    Mutant(SYNC, "Batch", "${BATCH_SIZE}", "0", "Batch", "all rows are one request"),
    Mutant(SYNC, "Batch", *_tag("jsonBloc", "operations", ""), "Batch", "empty <jsonBloc>"),
    Mutant(SYNC, "Batch", *_tag("operation_type", "outputvalue", "writetofile"), "Batch", "writes a file"),
    Mutant(SYNC, "Batch", *_tag("compatibility_mode", "N", "Y"), "Batch", "the mode of old versions"),
    Mutant(SYNC, "Batch", "<encoding>UTF-8</encoding>", "<encodings>UTF-8</encodings>", "Batch", "has <encodings>"),
    Mutant(SYNC, "Number of one", *_tag("counter_name", "ones", "batches"), "Number of one", "shares its counter"),
    Mutant(
        SYNC, "Number batches", *_tag("valuename", "batch", "batches"), "Forget the token", "uses the field 'batch'"
    ),
    Mutant(
        SYNC, "Forget the token", "<name>payload</name>", "<name>external_id</name>", "Count named rows", "'payload'"
    ),
    Mutant(SYNC, "POST batch", *_tag("field", "authorization", "external_id"), "POST batch", "null in the last batch"),
    Mutant(SYNC, "POST batch", *_tag("method", "POST", "GET"), "POST batch", "sends no body with GET"),
    Mutant(SYNC, "POST batch", *_tag("method", "POST", "post"), "POST batch", "which is no method"),
    Mutant(SYNC, "POST batch", *_tag("applicationType", "JSON", "application/json"), "POST batch", "plain text"),
    Mutant(SYNC, "POST batch", *_tag("bodyField", "payload", "body"), "POST batch", "uses the field 'body'"),
    Mutant(SYNC, "POST batch", *_tag("url", "${CORE_URL}/articles/batch", ""), "POST batch", "has no URL"),
    # What is read.
    Mutant(SYNC, "Read changes", "order by changed_at, external_id, op", "", "Read changes", "in no order"),
    Mutant(SYNC, "Read changes", *_tag("limit", "0", "1000"), "Read changes", "stops reading after 1000 rows"),
    Mutant(SYNC, "Read changes", "origin = ? and", "origin = '${ORIGIN}' and", "Read changes", "pastes a variable"),
    Mutant(SYNC, "Read changes", *_tag("variables_active", "Y", "N"), "Read changes", "which are not put in"),
    Mutant(SYNC, "Read changes", *_tag("variables_active", "Y", "yes"), "Read changes", "where PDI takes Y and N"),
    Mutant(SYNC, "Read changes", *_tag("lookup", "Bounds", ""), "Read changes", "no step that gives parameters"),
    Mutant(SYNC, "Read changes", *_tag("connection", "Base A", "Base B"), "Read changes", "connection 'Base B'"),
    Mutant(SYNC, "Read changes", "select op, origin", "select origin", "Batch", "uses the field 'op'"),
    Mutant(
        PASS,
        "Read the end of the pass",
        " and changed_at &lt;= cast(? as ${SQL_TIME})",
        "",
        "Read the end of the pass",
        "5 question marks, and 'Bounds' gives 6",
    ),
    Mutant(SYNC, "Leave base A", *_tag("pass_all_rows", "Y", "N"), "Leave base A", "passes its last row only"),
    Mutant(WINDOW, "", *_tag("type", "GENERIC", "GENERICS"), "", "which is not known"),
    Mutant(WINDOW, "", *_tag("code", "CUSTOM_URL", "URL"), "", "without CUSTOM_URL"),
    # Answers.
    Mutant(
        SYNC, "Refused rows", *_tag("path", "$.errors[*].code", "errors[*].code"), "Refused rows", "not begin with $"
    ),
    Mutant(SYNC, "Refused rows", *_tag("IsInFields", "Y", "N"), "Refused rows", "reads a file"),
    Mutant(SYNC, "Refused rows", *_tag("type", "Integer", "int"), "Refused rows", "of the type 'int'"),
    Mutant(
        SYNC,
        "Count named rows",
        *_tag("type", "COUNT_ALL", "COUNT_ANY"),
        "Rows that the answer names",
        "nobody looks whether it is",
    ),
    Mutant(SYNC, "Count sent rows", *_tag("type", "COUNT_ALL", "COUNT"), "Count sent rows", "sums up by 'COUNT'"),
    Mutant(SYNC, "Count sent rows", *_tag("aggregate", "sent", "n"), "Every row is answered?", "uses the field 'sent'"),
    Mutant(SYNC, "Park the row", "<name>external_id</name>", "<name>id</name>", "Park the row", "uses the field 'id'"),
    Mutant(SYNC, "Park the row", *_tag("condition", "=", "=="), "Park the row", "compares a key by '=='"),
    Mutant(
        LOGIN,
        "Take the object out of the list",
        *_tag("use_regex", "yes", "on"),
        "Take the object out of the list",
        "which PDI takes for no",
    ),
    Mutant(
        LOGIN, "Hand it to the job", *_tag("variable_type", "PARENT_JOB", "PARENT"), "Hand it to the job", "'PARENT'"
    ),
    Mutant(LOGIN, "Hand it to the job", "PARENT_JOB", "JVM", "Hand it to the job", "for the whole JVM"),
    # Secrets and variables.
    Mutant(SYNC, "Token", "Bearer ${ACCESS_TOKEN}", "Bearer eyJhbGciOi", "Token", "has a token"),
    Mutant(SYNC, "", "${BASE_A_PASSWORD}</password>", "hunter2</password>", "", "has a password in <password>"),
    Mutant(
        SYNC,
        "POST batch",
        "<httpPassword/>",
        "<httpPassword>Encrypted 2be98afc8</httpPassword>",
        "POST batch",
        "encrypted is not hidden",
    ),
    Mutant(JOB, "", "jdbc:sqlite:var/base_a.db", "jdbc:x://me:secret@host/a", "", "credentials within the URL"),
    Mutant(
        LOGIN, "Log trouble", "<name>status</name>", "<name>password</name>", "Log trouble", "uses the field 'password'"
    ),
    Mutant(
        LOGIN, "Keep the error", "<name>error_code</name>", "<name>body</name>", "Stop on an error", "there is a secret"
    ),
    Mutant(SYNC, "POST batch", "${CORE_URL}", "${CORE}", "POST batch", "uses ${CORE}, which is no parameter"),
    Mutant(SYNC, "", *_tag("name", "BATCH_SIZE", "BATCH_SIZES"), "Batch", "uses ${BATCH_SIZE}"),
    Mutant(
        LOGIN, "", *_tag("name", "CORE_URL", "LAKEPORT_PASSWORD"), "", "takes the place of what kettle.properties says"
    ),
    # The job.
    Mutant(JOB, "Start", *_tag("start", "Y", "N"), "", "starts at 0 entries"),
    Mutant(
        JOB,
        "",
        _hop("Send 2", "Worth another attempt 2?"),
        _hop("Send 2", "Save watermark"),
        "Send 2",
        "goes the same way after success and failure",
    ),
    Mutant(
        JOB, "", _hop("Send 3", "Give up"), _hop("Send 3", "Success"), "Send 3", "goes on to 'Success' after a failure"
    ),
    Mutant(JOB, "", _hop("Log in 1", "Send 1"), _hop("Log in 1", "Send 9"), "Send 9", "is not there"),
    Mutant(JOB, "", _hop("Wait 1", "Log in 2"), _hop("Wait 1", "Log in 3"), "Log in 2", "is never reached"),
    Mutant(JOB, "Send 1", "articles_sync.ktr", "article_sync.ktr", "Send 1", "cannot be read"),
    Mutant(JOB, "Send 1", *_tag("wait_until_finished", "Y", "N"), "Send 1", "does not wait"),
    Mutant(JOB, "Send 1", *_tag("pass_all_parameters", "Y", "N"), "Send 1", "does not pass the job's parameters"),
    Mutant(JOB, "Send 1", "<transname/>", "<transname>articles_sync</transname>", "Send 1", "from a repository"),
    Mutant(JOB, "Wait 1", "${RETRY_SECONDS}", "soon", "Wait 1", "waits 'soon'"),
    Mutant(JOB, "Worth another attempt 1?", "SYNC_REFUSED", "REFUSED", "Worth another attempt 1?", "uses ${REFUSED}"),
    Mutant(
        JOB,
        "Numbers are right?",
        *_tag("successcondition", "regexp", "regex"),
        "Numbers are right?",
        "compares by 'regex'",
    ),
    Mutant(JOB, "Know base A", ".properties", ".property", "Know base A", "there is no such file"),
    Mutant(JOB, "", *_tag("name", "ORIGIN", "SOURCE"), "Send 1", "whose parameter ORIGIN nobody sets"),
    Mutant(JOB, "Give up", *_tag("type", "ABORT", "SUCCESS"), "Send 3", "goes on to 'Give up' after a failure"),
    Mutant(SAVE, "Save", "<table>lakeport_pentaho_watermarks</table>", "<table/>", "Save", "has no table"),
    Mutant("postgresql.properties", "", "SQL_FIRST=", "SQL_BEGIN=", "Know base A", "does not set SQL_FIRST"),
]
