"""The template keeps the rules, CDK changes nothing in it, and the checks can fail."""

import json
import os
import re
from pathlib import Path

import pytest
import rules
import sam
from resolve import resolved

VARIANTS = json.loads((Path(__file__).parent / "variants.json").read_text())
# Where infra/cdk/test writes what CDK makes of the variants.
CDK = Path(os.environ["CDK_TEMPLATES"])
RULES = {name: rule for name, rule in vars(rules).items() if getattr(rule, "__module__", "") == "rules"}
TEXT = sam.TEMPLATE.read_text()


def made(text, name):
    return resolved(sam.transformed(text, VARIANTS[name]), VARIANTS[name])


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return request.param, made(TEXT, request.param)


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, variant):
    name, found = variant
    RULES[rule](found, VARIANTS[name])


def test_cdk_is_the_same(variant):
    name, found = variant
    by_cdk = sam.transformed((CDK / f"{name}.json").read_text(), {})
    assert without_deployment(resolved(by_cdk, {"BootstrapVersion": "30"})) == without_deployment(found)


def without_deployment(stack):
    """A deployment's name has the time in it."""
    return json.loads(re.sub("(deployment id: |ApiDeployment)[0-9a-f]+", r"\1", json.dumps(stack)))


def test_a_variant_changes_every_parameter():
    declared = sam.yaml_parse(TEXT)["Parameters"]
    everything = VARIANTS["everything"]
    assert set(everything) == set(declared)
    assert [name for name in declared if everything[name] == str(declared[name]["Default"])] == []


def test_a_parameter_deploys_the_api_anew():
    assert sam.yaml_parse(TEXT)["Resources"]["Api"]["Properties"]["AlwaysDeploy"] is True


@pytest.mark.parametrize("name", ["template", *VARIANTS])
def test_lint(name):
    text = TEXT if name == "template" else json.dumps(sam.transformed(TEXT, VARIANTS[name]))
    assert sam.lint(text) == []


# A mistake, and a check that has to notice it.
MISTAKES = [
    ("responseTransferMode: STREAM", "responseTransferMode: BUFFERED", "every_route_streams"),
    ("responseTransferMode: STREAM", "responseTransferMode: RESPONSE_STREAM", "every_route_streams"),
    ("2021-11-15/functions", "2015-03-31/functions", "every_route_streams"),
    ("response-streaming-invocations", "invocations", "every_route_streams"),
    ("timeoutInMillis: 900000", "timeoutInMillis: 29000", "every_route_streams"),
    ("security: !If [Signed, [{ iam: [] }], []]", "security: []", "only_the_card_is_open"),
    ("Default: AWS_IAM", "Default: NONE", "only_the_card_is_open"),
    ("[arm64]", "[x86_64]", "functions_are_what_cargo_lambda_builds"),
    ("IGNORE_STAGE_IN_PATH", "IGNORE_STAGE", "functions_get_their_settings"),
    ("dynamodb://${Tasks}?", "dynamodb://Tasks?", "functions_get_their_settings"),
    ("A2A_SECRET: !Ref AWS::StackId", "A2A_SECRET: !Ref AgentName", "functions_get_their_settings"),
    ("A2A_JWT_ISSUER: !Ref JwtIssuer", "A2A_JWT_ISSUER: !Ref JwtAudience", "functions_get_their_settings"),
    ("${Topics}/${ReplyTopics}", "${Topics}/*", "kafka_actions_reach_their_topics_only"),
    ("A2A_KAFKA_AUTH: iam", "A2A_KAFKA_AUTH: tls", "functions_get_their_settings"),
    ('!Sub "${GiveUpAfterSeconds}"', '"86400"', "functions_get_their_settings"),
    ("ConsumerGroupId:", "ConsumerGroupID:", "transform"),
    ("FunctionResponseTypes:", "FunctionResponseType:", "transform"),
    ("            FunctionResponseTypes: [ReportBatchItemFailures]\n", "", "the_mapping_limits_retries"),
    ("TRIM_HORIZON", "LATEST", "the_mapping_limits_retries"),
    ('.failures" } }', '.dead-letter" } }', "the_mapping_limits_retries"),
    ("            BisectBatchOnFunctionError: true\n", "", "the_mapping_limits_retries"),
    ("MaximumRetryAttempts: !Ref MaxRetries", "MaximumRetryAttempts: -1", "the_mapping_limits_retries"),
    ("Resource: !GetAtt HttpLogs.Arn", 'Resource: "*"', "functions_have_roles_and_logs_of_their_own"),
    ("[logs:CreateLogStream,", '["logs:*",', "functions_have_roles_and_logs_of_their_own"),
    ("      Role: !GetAtt HttpRole.Arn\n", "", "functions_have_roles_and_logs_of_their_own"),
    ("kafka-cluster:ReadData", '"kafka-cluster:*"', "kafka_actions_reach_their_topics_only"),
    ("}/agent.${AgentName}.dead-letter", "}/*", "kafka_actions_reach_their_topics_only"),
    ("      LoggingConfig: { LogGroup: !Ref KafkaLogs }\n", "", "functions_have_roles_and_logs_of_their_own"),
    ("RetentionInDays: !Ref LogRetentionDays", "LogGroupName: logs", "logs_have_retention"),
    ("by_context, KeyType", "context, KeyType", "the_table_is_that_of_table_json"),
    ("NonKeyAttributes: [state, ttl]", "NonKeyAttributes: [state]", "the_table_is_that_of_table_json"),
    ("Default: Retain", "Default: Delete", "the_table_is_that_of_table_json"),
    ("MemorySize: { Type: Number, Default: 512", "MemorySize: { Type: Number, Default: 128", "functions_are_what_cargo_lambda_builds"),
    ("ThrottleRate: { Type: Number, Default: 100", "ThrottleRate: { Type: Number, Default: 1000", "the_api_is_logged_throttled_and_named"),
    ("/prod/.well-known/agent-card.json", "/prod/.well-known/agent.json", "the_api_is_logged_throttled_and_named"),
    ("BillingMode: PAY_PER_REQUEST", "BillingModus: PAY_PER_REQUEST", "lint"),
    ("Properties: { RetentionInDays:", "Properties: { RetentionDays:", "lint"),
    ("!Ref KafkaLogs", "!Ref KafkaLog", "lint"),
]


@pytest.mark.parametrize("right, wrong, check", MISTAKES, ids=lambda text: text.strip()[:40])
def test_a_mistake_is_noticed(right, wrong, check):
    assert right in TEXT
    text = TEXT.replace(right, wrong)
    if check == "transform":
        with pytest.raises(sam.InvalidDocumentException):
            sam.transformed(text, {})
    elif check == "lint":
        assert sam.lint(text) != []
    else:
        with pytest.raises((AssertionError, KeyError)):
            for name in reversed(VARIANTS):
                RULES[check](made(text, name), VARIANTS[name])
