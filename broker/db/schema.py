"""The declared schema: every table on one screen or two; imported by migrations and tests only."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared: byte order on both engines."""
NUMBER = BigInteger().with_variant(Integer, "sqlite")
SEALED = {"sealed": True}
"""Marks a column whose values are sealed anew when the key changes."""


def key(name: str, **more: Any) -> Column[Any]:
    return Column(name, KEY, nullable=False, **more)


def maybe_key(name: str) -> Column[Any]:
    return Column(name, KEY)


def words(name: str, default: str | None = None) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default=default)


def maybe_words(name: str) -> Column[Any]:
    return Column(name, Text)


def count(name: str, default: int | None = 0) -> Column[Any]:
    given = None if default is None else text(str(default))
    return Column(name, BigInteger, nullable=False, server_default=given)


def maybe_count(name: str) -> Column[Any]:
    return Column(name, BigInteger)


def flag(name: str, default: int = 0) -> Column[Any]:
    return Column(name, SmallInteger, nullable=False, server_default=text(str(default)))


def moment(name: str) -> Column[Any]:
    """Microseconds since 1970, UTC."""
    return Column(name, BigInteger, nullable=False)


def maybe_moment(name: str) -> Column[Any]:
    return Column(name, BigInteger)


def sealed(name: str) -> Column[Any]:
    """A value that only the seal opens; NULL where there is none."""
    return Column(name, LargeBinary, info=SEALED)


def document(name: str) -> Column[Any]:
    """JSON as bytes."""
    return Column(name, LargeBinary, nullable=False)


def number() -> Column[Any]:
    """The integer inside: orders pages and joins rows; never shown."""
    return Column("n", NUMBER, Identity(), primary_key=True)


def one_of(column: str, *allowed: str) -> CheckConstraint:
    return CheckConstraint(
        f"{column} IN ({', '.join(repr(word) for word in allowed)})", name=f"{column}_known"
    )


def unique_where(name: str, *columns: str, where: str) -> Index:
    return Index(
        name, *columns, unique=True, sqlite_where=text(where), postgresql_where=text(where)
    )


def index_where(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def table(name: str, *parts: Any, **more: Any) -> Table:
    numbered = any(_is_number(part) for part in parts)
    return Table(name, metadata, *parts, sqlite_autoincrement=numbered, **more)


def _is_number(part: Any) -> bool:
    return isinstance(part, Column) and part.name == "n"


# A table reads as a paragraph, not as a column of one word a line (decision 0005).
# fmt: off

# The installation and its projects ------------------------------------------------------------

# hash key (sealed), epoch, demo mark
table("installation", key("name", primary_key=True),
    Column("value", LargeBinary, nullable=False, info=SEALED))

table("projects", key("id", primary_key=True), key("name"), maybe_words("oidc_issuer"),
    maybe_words("oidc_client_id"), sealed("oidc_secret"),
    maybe_words("oidc_claim"),  # `claim=field`, such as `oid=externalId` (safety 5)
    sealed("signing_key"),  # ES256, signs answers of AuthenticateUser
    maybe_words("signing_public"),  # its JWK
    count("coupons"),  # last action coupon given; never re-used
    count("events"),  # last sequence number published
    maybe_count("pause_limit_s"),  # how long a step waits for its person; NULL: no limit (T4)
    words("fields", "[]"),  # JSON: names of the profile fields of its own
    count("version", 1), moment("created_at"), UniqueConstraint("name"))

# one row a project: THE allocator of licenses; its row lock is the queue's order
table("licenses", key("project_id", primary_key=True), maybe_count("capacity"),  # NULL: unlimited
    count("held"), count("queue_last"), words("promotion", "auto"), flag("strict"),
    count("withheld"),  # freed by a held change: nobody's until it is decided (R5, T16)
    count("warned"),  # the share in percent that was announced last: 0, 80, 95, 100
    CheckConstraint("held >= 0", name="held_positive"), one_of("promotion", "auto", "manual"))

# Who calls -------------------------------------------------------------------------------------

table("api_keys", key("id", primary_key=True), key("project_id"), words("name"), key("hash"),
    words("scopes"),  # space separated
    words("connectors", ""),  # names it is limited to, a line each; empty: all
    words("step_types", ""),
    words("evidence", "[]"),  # JSON: [{"issuer", "audience"}] whose id_tokens it may present
    words("return_urls", "[]"),  # JSON: registered return URLs (safety 29)
    moment("created_at"), maybe_moment("last_used_at"), maybe_moment("revoked_at"),
    UniqueConstraint("hash"), Index("ix_api_keys_project", "project_id", "id"))

# one-time secrets: set-up links, connect sessions
table("tickets", key("hash", primary_key=True), key("project_id"), key("purpose"),
    maybe_key("user_id"), maybe_key("link_id"),
    maybe_key("key_id"),  # the API key that vouches for the person (safety 16)
    moment("expires_at"), maybe_moment("used_at"), one_of("purpose", "setup", "connect"))

table("sessions", key("hash", primary_key=True), key("project_id"), key("kind"),
    maybe_key("user_id"), words("roles", ""),
    maybe_key("link_id"),  # a connect session opens this link and no other
    words("asserted_by"),  # "issuer", "setup" or the id of the key that vouched
    maybe_moment("anew_since"),  # the person showed who they are since then (safety 28)
    moment("created_at"), moment("expires_at"), maybe_moment("ended_at"),
    one_of("kind", "administrator", "person"),
    Index("ix_sessions_user", "project_id", "user_id"))

# a sign-in with the project's identity provider that has not come back yet
table("sign_ins", key("state_hash", primary_key=True), key("project_id"), key("browser_hash"),
    sealed("verifier"), sealed("nonce"), words("return_to"), moment("expires_at"),
    maybe_moment("used_at"))

# a sign-in is a person only by (issuer, subject) (safety 5)
table("identities", key("project_id"), key("issuer"), key("subject"), key("user_id"),
    moment("created_at"), PrimaryKeyConstraint("project_id", "issuer", "subject"),
    Index("ix_identities_user", "project_id", "user_id"))

# Directories, and what they said ---------------------------------------------------------------

table("directories", key("id", primary_key=True), key("project_id"), words("name"),
    key("name_key"), key("state"), words("tolerance", "standard"), count("window_s", 300),
    maybe_words("source"),  # JSON: kind and settings of where it is read; NULL: it pushes
    maybe_words("schedule"),  # JSON: cron, zone, jitter_s
    maybe_moment("next_at"),  # the next slot of the schedule
    words("holding", "{}"),  # JSON: what share may end without a decision (R5)
    words("absent", "suspend"),  # what becomes of people a pull does not find any more
    count("mapping_version"),  # 0: the default mapping
    maybe_words("trouble"),  # why it cannot be read until an administrator has looked
    maybe_words("delta"),  # JSON: from where a pull finds only what changed, and for which source
    count("version", 1), moment("created_at"), maybe_moment("deleted_at"),
    one_of("state", "enabled", "disabled", "deleted"),
    one_of("tolerance", "standard", "strict"), one_of("absent", "suspend", "delete", "nothing"),
    index_where("ix_directories_next", "next_at", where="next_at IS NOT NULL"),
    unique_where("uq_directories_name", "project_id", "name_key", where="state <> 'deleted'"))

table("directory_secrets", key("project_id"), key("directory_id"), key("field"),
    sealed("sealed"), words("origin"),  # the origin it was typed for (safety 18)
    moment("changed_at"), words("changed_by"), PrimaryKeyConstraint("directory_id", "field"))

# how attributes become ours: each version is kept, and each run names the one it used
table("mappings", key("project_id"), key("directory_id"), count("version", None),
    words("mapping"), moment("created_at"), words("created_by"),
    PrimaryKeyConstraint("directory_id", "version"))

table("directory_tokens", key("id", primary_key=True), key("project_id"), key("directory_id"),
    key("hash"), moment("created_at"), maybe_moment("last_used_at"), maybe_moment("revoked_at"),
    UniqueConstraint("hash"),
    Index("ix_directory_tokens_directory", "project_id", "directory_id"))

# SCIM resources as the directory said them: the stored bytes are the answer
table("resources", number(), key("id"), key("project_id"), key("directory_id"), key("type"),
    document("document"),
    document("extras"),  # what no schema declares, kept so that a later mapping heals
    maybe_key("name_key"),  # userName, displayName: as the schema compares it
    maybe_key("external_key"),  # externalId, exact in case (RFC 7643 §3.1)
    maybe_key("display_key"),  # displayName of what is named otherwise
    maybe_key("email_key"),  # the first of its addresses: most have one
    words("display", ""),  # what members and groups of it are called
    maybe_key("source_key"),  # the id it has where it was fetched from
    count("version", 1), moment("created_at"), moment("changed_at"), UniqueConstraint("id"),
    unique_where("uq_resources_source", "project_id", "directory_id", "type", "source_key",
        where="source_key IS NOT NULL"),
    # `all` comes first: PostgreSQL takes the younger of two it knows no difference between
    Index("ix_resources_all", "project_id", "directory_id", "type", "n"),
    Index("ix_resources_name", "project_id", "directory_id", "type", "name_key", "n"),
    index_where("ix_resources_external", "project_id", "directory_id", "type", "external_key", "n",
        where="external_key IS NOT NULL"),
    index_where("ix_resources_display", "project_id", "directory_id", "type", "display_key", "n",
        where="display_key IS NOT NULL"),
    index_where("ix_resources_email", "project_id", "directory_id", "type", "email_key", "n",
        where="email_key IS NOT NULL"))

# the other addresses of who has several
table("addresses", Column("resource_n", NUMBER, nullable=False), key("key"), key("project_id"),
    key("directory_id"), PrimaryKeyConstraint("resource_n", "key"),
    ForeignKeyConstraint(["resource_n"], ["resources.n"], ondelete="CASCADE"),
    Index("ix_addresses_key", "project_id", "directory_id", "key", "resource_n"))

# what one resource of a type may hold and no other, where the schema says so: hashes of values
table("uniques", key("project_id"), key("directory_id"), key("type"), key("path"), key("value"),
    Column("resource_n", NUMBER, nullable=False),
    PrimaryKeyConstraint("project_id", "directory_id", "type", "path", "value"),
    ForeignKeyConstraint(["resource_n"], ["resources.n"], ondelete="CASCADE"),
    Index("ix_uniques_resource", "resource_n"))

# how many resources there are, by blocks of 1,024 numbers: totals, and where deep pages begin
table("blocks", key("project_id"), key("directory_id"), key("type"), count("block", None),
    count("stripe", None),  # a sum of its own, so that writers need not wait for each other
    count("held"), PrimaryKeyConstraint("project_id", "directory_id", "type", "block", "stripe"))

table("members", key("project_id"), Column("group_n", NUMBER, nullable=False),
    Column("member_n", NUMBER, nullable=False), PrimaryKeyConstraint("group_n", "member_n"),
    ForeignKeyConstraint(["group_n"], ["resources.n"], ondelete="CASCADE"),
    ForeignKeyConstraint(["member_n"], ["resources.n"], ondelete="CASCADE"),
    Index("ix_members_member", "member_n", "group_n"),
    sqlite_with_rowid=False)  # the key is the row: a membership is two entries, not three

# People ----------------------------------------------------------------------------------------

table("users", key("id", primary_key=True), key("project_id"),
    maybe_key("directory_id"),  # NULL: detached
    maybe_key("external_id"), words("user_name"), key("user_name_key"),
    words("display_name", ""), document("profile"), flag("idp_active", 1), key("status"),
    maybe_key("suspended_by"), maybe_words("status_reason"), key("license"),
    flag("licensed", 1), maybe_count("queue_seq"), maybe_moment("queued_at"),
    flag("user_authentication", 1), count("invite_epoch"),
    flag("reminders", 1),  # whether waiting steps may write to the person again
    flag("accepted"),  # has accepted or signed in before: no second letter (U12)
    maybe_moment("invited_at"), maybe_moment("activated_at"),
    maybe_moment("deleted_at"),  # by its directory; before `status` says so it is held (R5)
    maybe_moment("detached_at"),  # its directory was deleted (safety 12)
    maybe_words("detached_issuer"),  # the project's issuer at that moment
    flag("adoptable"), count("version", 1), moment("created_at"), moment("changed_at"),
    one_of("status", "invited", "queued", "active", "suspended", "deleted"),
    one_of("license", "none", "held", "withheld"),
    CheckConstraint("(license = 'held') = (status = 'active' AND licensed = 1)",
        name="license_is_held"),
    CheckConstraint("license <> 'withheld' OR status = 'suspended'", name="withheld_from_someone"),
    CheckConstraint("(queue_seq IS NOT NULL) = (status = 'queued')", name="queued_has_place"),
    CheckConstraint("(suspended_by IS NULL) = (status NOT IN ('suspended')) OR status = 'deleted'",
        name="suspended_by_someone"),
    unique_where("uq_users_user_name", "project_id", "user_name_key", where="status <> 'deleted'"),
    unique_where("uq_users_queue", "project_id", "queue_seq", where="queue_seq IS NOT NULL"),
    Index("ix_users_name", "project_id", "user_name_key"),
    Index("ix_users_external", "project_id", "external_id"),
    Index("ix_users_directory", "project_id", "directory_id"),
    index_where("ix_users_detached", "project_id", "id", where="detached_at IS NOT NULL"),
    index_where("ix_users_adoptable", "project_id", "adoptable", where="adoptable = 1"),
    Index("ix_users_status", "project_id", "status"))

# application logons: exact in case, unique a suffix (safety 9)
table("logons", key("project_id"), key("suffix"), key("value"), key("user_id"),
    PrimaryKeyConstraint("project_id", "suffix", "value"),
    UniqueConstraint("project_id", "suffix", "user_id"),
    Index("ix_logons_user", "project_id", "user_id"))

table("suffixes", key("project_id"),
    key("suffix_key"),  # casefolded: suffixes are unique whatever their case
    key("suffix"), PrimaryKeyConstraint("project_id", "suffix_key"))

table("invitations", key("id", primary_key=True), key("project_id"), key("user_id"),
    count("epoch", None),
    maybe_key("hash"),  # of the link's secret, once a letter or an administrator has one
    moment("created_at"), moment("expires_at"), maybe_moment("accepted_at"),
    maybe_moment("voided_at"), UniqueConstraint("user_id", "epoch"),
    unique_where("uq_invitations_hash", "hash", where="hash IS NOT NULL"))

# Runs ------------------------------------------------------------------------------------------

table("runs", key("id", primary_key=True), key("project_id"), key("directory_id"),
    key("kind"), key("trigger"), words("started_by", ""), key("state"), maybe_words("reason"),
    maybe_words("message"),  # why it ended early, in words: what the source said, redacted
    moment("started_at"), maybe_moment("held_at"), maybe_moment("ended_at"),
    maybe_words("decided_by"),  # of the changes it held (R6)
    count("reads"),  # requests that name no record: counted, never records
    count("refused"), count("unreadable"),
    count("unchanged"),  # fetched and found as they were: counted, never records
    count("mapping_version"),
    maybe_count("expected"),  # how many records there will be, as far as anybody knows
    maybe_words("place"),  # JSON: where a pull goes on (R10)
    flag("stopping"),  # an administrator asked it to end
    maybe_words("summary"),  # JSON: its counts, once its records are past their days
    one_of("kind", "push", "pull", "reapply", "retry", "record"),
    one_of("trigger", "push", "manual", "schedule"),
    one_of("state", "running", "held", "ended"),
    unique_where("uq_runs_running", "directory_id", where="state = 'running'"),
    index_where("ix_runs_open", "project_id", "directory_id", where="state <> 'ended'"),
    Index("ix_runs_directory", "project_id", "directory_id", "id"),
    Index("ix_runs_page", "project_id", "id"))

table("records", number(), key("project_id"), key("run_id"), key("kind"),  # resource type
    maybe_key("resource_id"), maybe_words("external_id"), words("name", ""), key("result"),
    maybe_key("code"),  # of a failure
    maybe_words("message"), maybe_words("next"), words("changes", "[]"), moment("at"),
    Column("raw", LargeBinary),  # JSON: what a failed record said, for another try
    maybe_moment("retried_at"),
    maybe_key("held"),  # of a held change: what it would do, `suspended` or `deleted`
    maybe_words("decided_by"), maybe_moment("decided_at"),
    maybe_key("decision"),  # `released` or `rejected`, carried out where it is staged no longer
    maybe_words("steps"),  # JSON: how a record by hand went, step by step
    one_of("result", "created", "updated", "unchanged", "suspended", "deleted", "staged",
        "skipped", "failed"), Index("ix_records_run", "project_id", "run_id", "n"),
    Index("ix_records_result", "project_id", "run_id", "result", "code"),
    Index("ix_records_resource", "project_id", "resource_id"),
    index_where("ix_records_raw", "project_id", "name", "n", where="raw IS NOT NULL"))

table("record_warnings", number(), key("project_id"), key("run_id"),
    Column("record_n", NUMBER, nullable=False), key("code"), key("attribute"), words("text"),
    Index("ix_record_warnings_run", "project_id", "run_id", "code", "attribute"),
    Index("ix_record_warnings_record", "record_n"))

# what a pull has found so far: for its end (who is missing) and its resumption; emptied then
table("seen", key("project_id"), key("run_id"), key("kind"), key("key"),
    key("digest"),  # of what it said: once more is nothing new, another word counts
    Column("resource_n", NUMBER), PrimaryKeyConstraint("run_id", "kind", "key"),
    Index("ix_seen_resource", "run_id", "resource_n", "project_id"), sqlite_with_rowid=False)

# Connectors and tokens -------------------------------------------------------------------------

table("connectors", key("id", primary_key=True), key("project_id"), words("name"),
    key("name_key"), words("description", ""), key("type"), maybe_words("integration"),
    maybe_words("environment"),  # JSON
    words("options", "{}"), words("fields", "{}"),  # never a protected one
    maybe_words("origin"),  # where sealed values may go: origin and what binds (safety 18)
    key("state"), maybe_words("reason"),
    maybe_key("disabled_from"),  # the state to come back to (C10)
    flag("user_authentication"), maybe_key("policy"),
    maybe_key("taken_name"),  # name_key from C6 on: unique a project
    maybe_key("only_one"),  # type from C6 on, where a project may have one
    words("created_by"), maybe_words("authorized_by"), flag("keep_alive", 1),  # T13
    maybe_moment("resolved_at"),  # when a step last asked for it, to the day (T13)
    count("version", 1), moment("created_at"), moment("changed_at"),
    maybe_moment("expires_at"),  # drafts
    one_of("state", "draft", "configured", "authorizing", "authorized", "connected",
        "needs_reauth", "needs_admin", "disabled", "deleted"),
    one_of("policy", "fallback", "fallback_with_warning", "pause", "end_with_error"),
    CheckConstraint("user_authentication = 0 OR policy IS NOT NULL", name="policy_when_on"),
    unique_where("uq_connectors_name", "project_id", "taken_name", where="taken_name IS NOT NULL"),
    unique_where("uq_connectors_only_one", "project_id", "only_one", where="only_one IS NOT NULL"),
    Index("ix_connectors_project", "project_id", "name_key"))

table("connector_secrets", key("project_id"), key("connector_id"), key("field"),
    sealed("sealed"), words("origin"),  # the origin it was typed for (safety 18)
    moment("changed_at"), words("changed_by"), PrimaryKeyConstraint("connector_id", "field"))

# grants: a person's, or the connector user's (user_id '')
table("tokens", key("id", primary_key=True), key("project_id"), key("connector_id"),
    key("user_id"), key("state"), maybe_words("reason"), sealed("access_token"),
    sealed("refresh_token"), words("scopes", ""), words("missing_scopes", ""),
    maybe_words("origin"),  # where its tokens may go (safety 18)
    maybe_words("base_url"), maybe_key("account"),  # the provider's immutable account (K2 pins it)
    words("account_display", ""),
    maybe_words("claims"),  # what the provider wants of the next link (K7)
    maybe_moment("obtained_at"), maybe_moment("expires_at"),
    count("version"),  # of the token: grows with each one saved
    count("fence"),  # of the lease: grows with each one taken
    maybe_moment("lease_until"),
    maybe_key("journal"),  # hash of the refresh token in flight: written before the call
    count("failures"), maybe_moment("retry_at"), count("unclassified"),
    maybe_moment("unclassified_since"),
    maybe_moment("rejected_at"),  # the last 401 a caller told us of (K11)
    maybe_moment("due_at"),  # when the background refreshes it (T13, K9)
    flag("minted"),  # nobody signs in for it: no refresh token
    words("token_type", "Bearer"), count("asked"),  # the version a step was last given
    maybe_moment("ends_at"),  # when the grant lapses unless it is refreshed
    maybe_key("told"),  # the last reason somebody was told of: once a reason
    count("throttled"),  # how often the provider said 429 (R49)
    count("vouched"),  # the version the program itself called good after a report (K11)
    maybe_key("grant_hash"),  # of the refresh token somebody brought, until it is rotated
    flag("frozen"), moment("created_at"), moment("changed_at"),
    one_of("state", "valid", "expired", "needs_reauth", "revoked", "unreadable"),
    UniqueConstraint("connector_id", "user_id"),
    unique_where("uq_tokens_account", "connector_id", "account",
        where="account IS NOT NULL AND state <> 'revoked'"),
    unique_where("uq_tokens_grant", "connector_id", "grant_hash", where="grant_hash IS NOT NULL"),
    Index("ix_tokens_user", "project_id", "user_id"),
    index_where("ix_tokens_due", "project_id", "due_at", where="due_at IS NOT NULL"),
    index_where("ix_tokens_ends", "project_id", "ends_at", where="ends_at IS NOT NULL"))

table("links", key("id", primary_key=True), key("project_id"),
    key("connector_id"),  # '' where a link completes an action
    key("user_id"),  # '' for the wizard's
    key("purpose"), key("state"), maybe_words("reason"),
    maybe_key("state_hash"),  # OAuth state, from the moment the person goes on
    maybe_key("browser_hash"), maybe_key("session_hash"), sealed("verifier"),
    words("scopes", ""), maybe_words("return_url"),
    flag("other_account"),  # an administrator said: the connector user may be another account
    words("made_by"), maybe_count("coupon"), moment("created_at"), moment("expires_at"),
    maybe_moment("followed_at"),  # a state lives ten minutes from here
    maybe_moment("claimed_at"), one_of("purpose", "connect", "wizard", "action"),
    one_of("state", "open", "claimed", "done", "failed", "void"),
    unique_where("uq_links_state", "state_hash", where="state_hash IS NOT NULL"),
    # one open link a person and connector: everyone who waits shares it
    unique_where("uq_links_open", "connector_id", "user_id", "purpose",
        where="state = 'open' AND purpose = 'connect'"),
    Index("ix_links_user", "project_id", "user_id"))

# Decisions, pauses, actions --------------------------------------------------------------------

table("decisions", key("id", primary_key=True), key("project_id"), key("key_id"),
    key("execution"), key("step"), count("attempt", None), key("question_hash"),
    words("question"),  # JSON: the step as it was asked
    count("version", 1),  # of its newest line
    moment("created_at"),
    UniqueConstraint("project_id", "key_id", "execution", "step", "attempt"))

# append only: who ran as whom
table("decision_lines", number(), key("project_id"), key("decision_id"), count("version", None),
    key("row"), key("outcome"), maybe_key("status"), maybe_key("reason"),
    maybe_key("identity"),  # user, connector
    maybe_key("user_id"),  # the subject
    key("connector_id"), maybe_words("provider_account"), maybe_count("token_version"),
    flag("credential"),  # a credential left
    flag("fallback"), maybe_key("warning"), maybe_key("pause_id"), maybe_key("link_id"),
    words("facts"), moment("at"), UniqueConstraint("decision_id", "version"),
    Index("ix_decision_lines_user", "project_id", "user_id", "n"),
    Index("ix_decision_lines_page", "project_id", "n"))

table("pauses", key("id", primary_key=True), key("project_id"),
    key("key_id"),  # who opened it: claim tokens go to it only (safety 26)
    key("decision_id"), key("connector_id"), key("user_id"), key("execution"), key("step"),
    key("state"), maybe_words("reason"), maybe_key("claim_hash"), maybe_moment("claimed_at"),
    key("run_as"),  # 'connector' after an administrator's override (P12)
    count("cycles"), maybe_moment("expires_at"), count("version", 1), moment("created_at"),
    moment("changed_at"),
    maybe_moment("remind_at"),  # when its person is written to again, while it waits
    words("scopes", ""),  # space separated: what the sign-in has to cover (P3)
    one_of("state", "waiting", "ready", "claimed", "resumed", "expired", "cancelled", "failed"),
    one_of("run_as", "user", "connector"),
    unique_where("uq_pauses_open", "project_id", "execution", "step",
        where="state IN ('waiting', 'ready', 'claimed')"),
    Index("ix_pauses_waiting", "project_id", "user_id", "connector_id", "state"),
    Index("ix_pauses_connector", "project_id", "connector_id", "state"),
    Index("ix_pauses_overdue", "state", "changed_at"),
    index_where("ix_pauses_expires", "expires_at", where="expires_at IS NOT NULL"),
    index_where("ix_pauses_remind", "remind_at", where="state = 'waiting'"),
    Index("ix_pauses_page", "project_id", "id"))

# AuthenticateUser
table("actions", key("project_id"), count("coupon", None), key("key_id"), key("state"),
    words("request"),  # JSON: items, suffixes
    maybe_words("answer"),  # JSON
    maybe_key("user_id"), maybe_words("return_url"),
    maybe_key("code_hash"),  # the one-time code the person's browser carried back (safety 29)
    count("version", 1), moment("created_at"), moment("expires_at"),
    PrimaryKeyConstraint("project_id", "coupon"),
    one_of("state", "pending", "proven", "done", "expired"))

# id_tokens seen: once per hash (safety 28)
table("evidence", key("project_id"), key("hash"), moment("expires_at"),
    PrimaryKeyConstraint("project_id", "hash"))

# What happens later, what happened -------------------------------------------------------------

table("jobs", key("id", primary_key=True), maybe_key("project_id"), key("kind"),
    words("data", "{}"),
    sealed("secret"),  # a token on its way to be revoked (K12): own associated data
    maybe_key("once"),  # one open job of that name
    moment("due_at"), maybe_moment("lease_until"), count("attempt"), maybe_words("error"),
    maybe_moment("done_at"), maybe_moment("dead_at"), moment("created_at"),
    unique_where("uq_jobs_once", "once",
        where="once IS NOT NULL AND done_at IS NULL AND dead_at IS NULL"),
    index_where("ix_jobs_due", "due_at", where="done_at IS NULL AND dead_at IS NULL"))

table("letters", key("id", primary_key=True), key("project_id"), key("user_id"),
    key("template"), key("once"), key("state"), words("data", "{}"), moment("created_at"),
    moment("due_at"), maybe_moment("lease_until"), count("attempt"),
    maybe_key("address"),  # where it went, folded: at most three a day (safety 13)
    maybe_words("error"), maybe_moment("sent_at"), UniqueConstraint("project_id", "once"),
    one_of("template", "invitation", "active", "needed"),
    one_of("state", "waiting", "sent", "failed", "void"),
    index_where("ix_letters_due", "due_at", where="state = 'waiting'"),
    index_where("ix_letters_address", "project_id", "address", "sent_at",
        where="address IS NOT NULL"), Index("ix_letters_user", "project_id", "user_id"))

table("events", number(), key("id"), key("project_id"), key("type"),
    maybe_key("user_id"),  # whom it is about, where that is one person
    words("data"), moment("at"), UniqueConstraint("id"),
    maybe_count("sequence"),  # given behind the commit, so that no reader ever sees a gap
    unique_where("uq_events_sequence", "project_id", "sequence", where="sequence IS NOT NULL"),
    index_where("ix_events_unpublished", "project_id", "n", where="sequence IS NULL"),
    Index("ix_events_project", "project_id", "n"),
    index_where("ix_events_user", "project_id", "user_id", "n", where="user_id IS NOT NULL"))

# who is told of events as they happen (Standard Webhooks)
table("webhooks", key("id", primary_key=True), key("project_id"), words("url"),
    words("types"),  # space separated patterns such as `pause.*`
    sealed("secret"), sealed("old_secret"),  # two in rotation, until then
    maybe_moment("old_secret_until"), key("state"), maybe_words("reason"),
    count("failures"),  # in a row; 50 pause it
    maybe_moment("rests_until"),  # after a failure one try at a time, and none before then
    words("created_by"), count("version", 1), moment("created_at"), moment("changed_at"),
    one_of("state", "enabled", "paused", "disabled", "deleted"),
    index_where("ix_webhooks_living", "project_id", "id", where="state <> 'deleted'"))

table("deliveries", number(), key("project_id"), key("webhook_id"), key("event_id"),
    key("state"), moment("due_at"), maybe_moment("lease_until"), count("attempt"),
    maybe_count("status"),  # what the receiver answered last
    maybe_words("error"), moment("created_at"), maybe_moment("ended_at"),
    UniqueConstraint("webhook_id", "event_id"),
    one_of("state", "waiting", "delivered", "failed"),
    index_where("ix_deliveries_due", "project_id", "webhook_id", "due_at", "n",
                where="state = 'waiting'"),
    Index("ix_deliveries_webhook", "project_id", "webhook_id", "n"))

# answers to requests that carried an Idempotency-Key, a day long; never one that holds a secret
table("replays", key("key_id"), key("route"), key("key"), key("project_id"), key("body_hash"),
    maybe_count("status"),  # NULL: the first is still running
    Column("answer", LargeBinary), moment("created_at"), moment("expires_at"),
    PrimaryKeyConstraint("key_id", "route", "key"),
    Index("ix_replays_expires", "project_id", "expires_at"))

table("audit", number(), key("id"), maybe_key("project_id"), moment("at"),
    key("actor"),  # "key:…", "admin:…", "person:…", "directory:…", "broker", "operator"
    key("action"), maybe_key("target"), words("detail", "{}"), key("digest"),
    UniqueConstraint("id"), Index("ix_audit_project", "project_id", "n"),
    index_where("ix_audit_tests", "project_id", "actor", "at",
        where="action IN ('connector.tested', 'connector.checked')"))

# the chain behind the commit
table("audit_chain", Column("position", NUMBER, primary_key=True, autoincrement=False),
    Column("audit_n", NUMBER, nullable=False), key("hash"), UniqueConstraint("audit_n"))
