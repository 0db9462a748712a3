"""The step types, job entries and database types that the checker knows, with the tags that PDI 9 and 10 read."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STEP_TAGS = _words(
    "name type description distribute custom_distribution copies partitioning attributes cluster_schema remotesteps GUI"
)
ENTRY_TAGS = _words("name description type attributes parallel draw nr xloc yloc attributes_kjc")
STEPS = {
    kind: _words(tags)
    for kind, tags in {
        "Abort": "row_threshold message always_log_rows abort_option",
        "BlockingStep": "pass_all_rows directory prefix cache_size compress",
        "Delete": "connection commit lookup",
        "Dummy": "",
        "FieldsChangeSequence": "start increment resultfieldName fields",
        "FilterRows": "send_true_to send_false_to compare",
        "GetVariable": "fields",
        "GroupBy": "all_rows ignore_aggregate field_ignore directory prefix add_linenr linenr_fieldname give_back_row"
        " group fields",
        "InsertUpdate": "connection commit update_bypassed lookup",
        "JsonInput": "include include_field rownum addresultfile readurl removeSourceField IsIgnoreEmptyFile"
        " doNotFailIfNoFile ignoreMissingPath defaultPathLeafToNull includeNulls rownum_field file fields limit"
        " IsInFields IsAFile valueField shortFileFieldName pathFieldName hiddenFieldName"
        " lastModificationTimeFieldName uriNameFieldName rootUriNameFieldName extensionFieldName sizeFieldName",
        "JsonOutput": "outputValue jsonBloc nrRowsInBloc operation_type compatibility_mode encoding addtoresult file"
        " fields",
        "ReplaceString": "fields",
        "Rest": "applicationType method url urlInField dynamicMethod methodFieldName urlField bodyField httpLogin"
        " httpPassword proxyHost proxyPort preemptive trustStoreFile trustStorePassword ignoreSsl headers parameters"
        " matrixParameters result",
        "SelectValues": "fields",
        "Sequence": "valuename use_database connection schema seqname use_counter counter_name start_at increment_by"
        " max_value",
        "SetVariable": "fields use_formatting",
        "TableInput": "connection sql limit lookup execute_each_row variables_active lazy_conversion_active"
        " cached_row_meta_active",
        "WriteToLog": "loglevel displayHeader limitRows limitRowsNumber logmessage fields",
    }.items()
}
ENTRIES = {
    kind: _words(tags)
    for kind, tags in {
        "ABORT": "message",
        "DELAY": "maximumTimeout scaletime",
        "SET_VARIABLES": "replacevars filename file_variable_type fields",
        "SIMPLE_EVAL": "valuetype fieldname variablename fieldtype mask comparevalue minvalue maxvalue"
        " successcondition successnumbercondition successbooleancondition successwhenvarset",
        "SPECIAL": "start dummy repeat schedulerType intervalSeconds intervalMinutes hour minutes weekDay DayOfMonth",
        "SQL": "sql useVariableSubstitution sqlfromfile sqlfilename sendOneStatement connection",
        "SUCCESS": "",
        "TRANS": "specification_method trans_object_id filename transname arg_from_previous params_from_previous"
        " exec_per_row clear_rows clear_files set_logfile logfile logext add_date add_time loglevel cluster"
        " slave_server_name set_append_logfile wait_until_finished follow_abort_remote create_parent_folder"
        " logging_remote_work run_configuration suppress_result_data parameters",
    }.items()
}
DATABASES = frozenset({"GENERIC", "MARIADB", "MYSQL", "POSTGRESQL", "SQLITE"})
ERROR_HANDLING = frozenset({"Delete", "FieldsChangeSequence", "InsertUpdate", "JsonInput", "Rest"})
"""Steps with which rows may take another way where they fail."""
APPLICATION_TYPES = frozenset(
    {
        "TEXT PLAIN",
        "XML",
        "JSON",
        "OCTET STREAM",
        "XHTML",
        "FORM URLENCODED",
        "ATOM XML",
        "SVG XML",
        "TEXT XML",
    }
)
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
COMPARISONS = frozenset(
    {
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "REGEXP",
        "IS NULL",
        "IS NOT NULL",
        "IN LIST",
        "CONTAINS",
        "STARTS WITH",
        "ENDS WITH",
        "LIKE",
        "TRUE",
    }
)
AGGREGATES = frozenset({"COUNT_ALL", "COUNT_ANY", "COUNT_DISTINCT", "FIRST", "LAST", "MAX", "MIN", "SUM"})
VALUE_TYPES = frozenset({"String", "Integer", "Number", "BigNumber", "Boolean", "Date", "Timestamp"})
LOG_LEVELS = frozenset(
    f"log_level_{level}" for level in ("nothing", "error", "minimal", "basic", "detailed", "debug", "rowlevel")
)
EVALUATIONS = _words(
    "equal different contains notcontains startswith notstatwith endswith notendwith regexp inlist notinlist"
)
