"""What has to hold of the stack, of whichever variant: one function per rule, on `facts`."""

import json
from pathlib import Path

TABLE = json.loads((Path(__file__).parents[1] / "table.json").read_text())
FUNCTIONS = ("HttpFunction", "KafkaFunction")
CARD = "/.well-known/agent-card.json"
STREAMING = "lambda:path/2021-11-15/functions/<HttpFunction.Arn>/response-streaming-invocations"
# What core/src/store/dynamodb asks of the service; a transaction needs the actions of its parts.
ITEM_ACTIONS = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem")
# These actions know no resource that has a name beforehand.
UNNAMED = ("ec2:", "xray:")


def every_route_streams(facts, given):
    assert set(facts["routes"]) == {(path, "ANY") for path in ("/", "/{proxy+}", CARD)}
    for route in facts["routes"].values():
        assert route["mode"] == "STREAM" and route["calls"].endswith(STREAMING)
        assert facts["HttpFunction"]["Timeout"] * 1000 <= route["timeout"] <= 900_000


def only_the_card_is_open(facts, given):
    for (path, _), route in facts["routes"].items():
        assert route["auth"] == ("NONE" if path == CARD else given.get("HttpAuth", "AWS_IAM"))


def functions_are_what_cargo_lambda_builds(facts, given):
    for function in each(facts, FUNCTIONS):
        assert function["Architectures"] == ["arm64"]
        assert (function["Runtime"], function["Handler"]) == ("provided.al2023", "bootstrap")
        assert {"A2A_NAME", "A2A_STORE", "RUST_LOG"} <= set(function["Environment"]["Variables"])
    assert facts["HttpFunction"]["Environment"]["Variables"]["AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"] == "true"
    assert ("VpcConfig" in facts["HttpFunction"]) == (given.get("HttpInVpc") == "true")


def the_store_is_the_chosen_one(facts, given):
    own = "dynamodb://<Tasks>?region=eu-west-1"
    store = own if given.get("StoreUrl") == "dynamodb:" else given.get("StoreUrl", "memory:")
    for function in each(facts, FUNCTIONS):
        assert function["Environment"]["Variables"]["A2A_STORE"] == store


def every_instance_believes_the_same(facts, given):
    for function in each(facts, FUNCTIONS):
        variables = function["Environment"]["Variables"]
        assert variables["A2A_SECRET"].startswith("arn:aws:cloudformation:")
        believed = [variables[name] for name in ("A2A_JWKS", "A2A_JWT_ISSUER", "A2A_JWT_AUDIENCE")]
        assert believed == [given.get(name, "") for name in ("Jwks", "JwtIssuer", "JwtAudience")]
        assert variables["A2A_KAFKA_PUBLIC"] == given.get("KafkaPublic", "")


def the_kafka_function_reaches_the_brokers(facts, given):
    for function in each(facts, ["KafkaFunction"]):
        variables = function["Environment"]["Variables"]
        assert (variables["A2A_KAFKA"], variables["A2A_KAFKA_AUTH"]) == (given["KafkaBrokers"], "iam")
        assert variables["A2A_KAFKA_SCOPE"] == given["MskClusterArn"]
        assert int(variables["A2A_KAFKA_MAX_AGE_SECONDS"]) == int(given.get("GiveUpAfterSeconds", 300))
        assert variables["A2A_KAFKA_REPLY_TOPICS"] == given.get("ReplyTopics", "")
        assert function["VpcConfig"]["SubnetIds"] == given["SubnetIds"].split(",")
        assert function["VpcConfig"]["SecurityGroupIds"] == given["SecurityGroupIds"].split(",")
        assert function["Timeout"] <= 14 * 60


def the_mapping_limits_retries(facts, given):
    name = given.get("AgentName", "data")
    assert ("Requests" in facts) == ("MskClusterArn" in given)
    for mapping in each(facts, ["Requests"]):
        assert mapping == {
            "kept": ["Delete", "Delete"],
            "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": f"agent.{name}.lambda"},
            "BatchSize": 100,
            "BisectBatchOnFunctionError": True,
            "DestinationConfig": {"OnFailure": {"Destination": f"kafka://agent.{name}.failures"}},
            "EventSourceArn": given["MskClusterArn"],
            "FunctionName": "<KafkaFunction>",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "MaximumBatchingWindowInSeconds": int(given.get("BatchWindowSeconds", 0)),
            "MaximumRecordAgeInSeconds": int(given.get("MaxRecordAgeSeconds", 86400)),
            "MaximumRetryAttempts": int(given.get("MaxRetries", 100)),
            "ProvisionedPollerConfig": {
                "MaximumPollers": int(given.get("MaxPollers", 4)),
                "MinimumPollers": int(given.get("MinPollers", 1)),
            },
            "StartingPosition": "TRIM_HORIZON",
            "Topics": [f"agent.{name}.requests"],
        }


def roles_name_actions_and_resources(facts, given):
    for role in each(facts, ("HttpRole", "KafkaRole")):
        assert role["managed"] == []
        for action, where in role["allowed"].items():
            assert "*" not in action
            assert "*" not in where or action.startswith(UNNAMED), action
        items = {action for action in role["allowed"] if action.startswith("dynamodb:")}
        assert items == {f"dynamodb:{action}" for action in ITEM_ACTIONS}
        assert role["allowed"]["dynamodb:PutItem"] == ["<Tasks.Arn>", "<Tasks.Arn>/index/*"]
    for name in ("Http", "Kafka"):
        for role in each(facts, [f"{name}Role"]):
            assert role["allowed"]["logs:PutLogEvents"] == [f"<{name}Logs.Arn>"]
    services = {action.split(":")[0] for action in facts["HttpRole"]["allowed"]}
    in_vpc = {"ec2"} if given.get("HttpInVpc") == "true" else set()
    assert services - {"xray"} == {"logs", "dynamodb"} | in_vpc


def kafka_actions_reach_their_topics_only(facts, given):
    name = given.get("AgentName", "data")
    for role in each(facts, ["KafkaRole"]):
        cluster = given["MskClusterArn"]
        topics = f"{cluster.replace(':cluster/', ':topic/')}/"
        topic = f"{topics}agent.{name}."
        group = f"{cluster.replace(':cluster/', ':group/')}/agent.{name}.lambda"
        written = [topic + end for end in ("dead-letter", "failures", "responses")]
        written += [topics + given["ReplyTopics"]] if "ReplyTopics" in given else []
        assert {action: where for action, where in role["allowed"].items() if action.startswith("kafka")} == {
            "kafka:DescribeClusterV2": [cluster],
            "kafka:GetBootstrapBrokers": [cluster],
            "kafka-cluster:Connect": [cluster],
            "kafka-cluster:WriteDataIdempotently": [cluster],
            "kafka-cluster:DescribeGroup": [group],
            "kafka-cluster:AlterGroup": [group],
            "kafka-cluster:DescribeTopic": sorted([topic + "requests", *written]),
            "kafka-cluster:ReadData": [topic + "requests"],
            "kafka-cluster:WriteData": written,
        }


def logs_have_retention(facts, given):
    for name in ("Http", "Kafka"):
        for function in each(facts, [f"{name}Function"]):
            assert function["LoggingConfig"] == {"LogGroup": f"<{name}Logs>"}
    assert facts["Stage"]["log"][0] == "<ApiLogs.Arn>"
    for logs in each(facts, ("HttpLogs", "KafkaLogs", "ApiLogs")):
        assert logs["RetentionInDays"] == int(given.get("LogRetentionDays", 30))


def the_table_is_that_of_table_json(facts, given):
    table = facts["Tasks"]
    assert {key: table[key] for key in TABLE} == TABLE
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["kept"] == [given.get("TableDeletionPolicy", "Retain")] * 2


def each(facts, names):
    """Those of them that this variant has."""
    return [facts[name] for name in names if name in facts]


RULES = [
    every_route_streams,
    only_the_card_is_open,
    functions_are_what_cargo_lambda_builds,
    the_store_is_the_chosen_one,
    every_instance_believes_the_same,
    the_kafka_function_reaches_the_brokers,
    the_mapping_limits_retries,
    roles_name_actions_and_resources,
    kafka_actions_reach_their_topics_only,
    logs_have_retention,
    the_table_is_that_of_table_json,
]
