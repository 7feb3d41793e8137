"""What Salesforce declares: its hosts, its form, its wizard's question, its step types."""

from providers.definition import Choice, Definition, Field, Kind, Option, Section, StepType
from providers.places import Environment

# My Domain hosts, plain and partitioned (sandboxes, developer editions, scratch orgs …°).
MY_DOMAINS = (
    "*.my.salesforce.com",
    "*--*.sandbox.my.salesforce.com",
    *(
        f"*.{part}.my.salesforce.com"
        for part in ("develop", "scratch", "demo", "patch", "trailblaze", "free", "stage")
    ),
)
ANSWERS = (*MY_DOMAINS, "login.salesforce.com", "test.salesforce.com")

DEFINITION = Definition(
    kind="salesforce",
    title="Salesforce",
    environments=(
        Environment(
            "custom_domain",
            "Custom Domain",
            None,
            typed=MY_DOMAINS,
            answers=ANSWERS,
            misread=(
                (
                    ".lightning.force.com",
                    "this is the address of the Lightning pages; the API lives on the My Domain "
                    "host, which ends in .my.salesforce.com",
                ),
            ),
        ),
        Environment(
            "production",
            "Production (login.salesforce.com)",
            "https://login.salesforce.com",
            answers=ANSWERS,
        ),
        Environment(
            "test", "Test (test.salesforce.com)", "https://test.salesforce.com", answers=ANSWERS
        ),
    ),
    fields=(
        Field("client_id", "Consumer key", Section.GENERAL, Kind.ACCOUNT, required=True),
        Field(
            "client_secret",
            "Consumer secret",
            Section.GENERAL,
            Kind.SECRET,
            protected=True,
            required=True,
        ),
        Field(
            "button_object",
            "Object that gets the buttons",
            Section.ADDITIONAL,
            Kind.FEATURE,
            required=True,
            help="The API name of one object, for example Account.",
            alphabet="0-9A-Za-z_",
            when=("buttons", "install_update"),
        ),
        Field(
            "send_email",
            "Flows send e-mail through Salesforce",
            Section.ADDITIONAL,
            Kind.FEATURE,
            choices=(Choice("no", "No"), Choice("yes", "Yes")),
            default="no",
        ),
        Field(
            "api_version",
            "API version",
            Section.ADVANCED,
            Kind.TEXT,
            choices=tuple(Choice(f"{number}.0", f"{number}.0") for number in range(65, 57, -1)),
            default="62.0",
        ),
    ),
    options=(
        Option(
            "buttons",
            "{product} buttons in Salesforce options",
            (
                Choice("install_update", "Install/Update"),
                Choice("uninstall", "Uninstall"),
                Choice("skip", "Skip"),
            ),
        ),
    ),
    step_types=(
        StepType("retrieve_data", "Retrieve Data (Salesforce)", user_authentication=True),
        StepType("create_data", "Create Data (Salesforce)", user_authentication=False),
        StepType("update_data", "Update Data (Salesforce)", user_authentication=False),
        StepType("delete_data", "Delete Data (Salesforce)", user_authentication=False),
    ),
    test="Asks the token endpoint whether it knows this consumer key and secret.",
    assumed_lifetime_s=15 * 60,  # the shortest session timeout an org can choose
    idle_s=14 * 24 * 3600,  # the policy of the owner's document; an org may choose another
    keep_alive_s=7 * 24 * 3600,  # well inside the policy "expire if unused for 14 days" (R74)
    single_per_project=True,
    warnings=(
        "Use an account of its own for this connector, not one that another integration shares.",
        "Salesforce keeps about 5 approvals for one account and app; a further one silently ends "
        "the oldest.",
        "The account is usually a System Administrator's. At the least it needs Modify All Data,"
        " Modify Metadata Through Metadata API Functions, API Enabled, Author Apex, Customize"
        " Application, Send Email where flows send any, and what those depend on; Check tells which"
        " it has.",
        "Standard object permissions narrow which objects it reaches; API Only User may forbid it"
        " to sign in at Salesforce itself. Some fields need more, such as Manage Users for"
        " User.NumberOfFailedLogins.",
    ),
)
