"""What has to hold of the stack, of whichever variant: each function is a rule, on what `resolved` gives."""

import json
from pathlib import Path

from resolve import PSEUDO, allowed, each, kept, routes

TABLE = json.loads((Path(__file__).parents[1] / "table.json").read_text())
FUNCTIONS = ("HttpFunction", "KafkaFunction")
CARD = "/.well-known/agent-card.json"
ANY = "x-amazon-apigateway-any-method"
STREAMING = "lambda:path/2021-11-15/functions/<HttpFunction.Arn>/response-streaming-invocations"
# What core/src/store/dynamodb asks of the service; a transaction needs the actions of its parts.
ITEM_ACTIONS = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem")
# These actions know no resource that has a name beforehand.
UNNAMED = ("ec2:", "xray:")


def every_route_streams(stack, given):
    function, = each(stack, ["HttpFunction"])
    assert set(routes(stack)) == {(path, ANY) for path in ("/", "/{proxy+}", CARD)}
    for route in routes(stack).values():
        integration = route["x-amazon-apigateway-integration"]
        assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")
        assert integration["responseTransferMode"] == "STREAM" and integration["uri"].endswith(STREAMING)
        assert function["Timeout"] * 1000 <= integration["timeoutInMillis"] <= 900_000


def only_the_card_is_open(stack, given):
    closed = [{"iam": []}] if given.get("HttpAuth", "AWS_IAM") == "AWS_IAM" else []
    for (path, _), route in routes(stack).items():
        assert route.get("security", []) == ([] if path == CARD else closed)


def the_api_is_logged_throttled_and_named(stack, given):
    made = stack["Resources"]
    assert made["Api"]["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert made["ApiPermission"]["Properties"]["SourceArn"].endswith(":<Api>/*/*/*")
    stage = made["ApiprodStage"]["Properties"]
    assert stage["StageName"] == "prod"
    assert stage["TracingEnabled"] == (given.get("Tracing") == "Active")
    assert stage["AccessLogSetting"]["DestinationArn"] == "<ApiLogs.Arn>"
    assert {"request", "caller", "status", "error"} <= set(json.loads(stage["AccessLogSetting"]["Format"]))
    settings, = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == int(given.get("ThrottleRate", 100))
    assert settings["ThrottlingBurstLimit"] == int(given.get("ThrottleBurst", 200))
    for name in ("ApiAccount", "ApiAccountRole"):
        assert (name in made) == (given.get("ApiLogsRole", "create") == "create")
        assert name not in made or kept(stack, name) == ["Retain"] * 2
    url = "https://<Api>.execute-api.eu-west-1.amazonaws.com/prod/"
    outputs = {name: output["Value"] for name, output in stack["Outputs"].items()}
    assert outputs.pop("KafkaFunctionName", None) == ("<KafkaFunction>" if "MskClusterArn" in given else None)
    assert (outputs["ApiUrl"], outputs["CardUrl"]) == (url, f"{url}.well-known/agent-card.json")
    assert (outputs["TableName"], outputs["HttpFunctionName"]) == ("<Tasks>", "<HttpFunction>")


def functions_are_what_cargo_lambda_builds(stack, given):
    for function in each(stack, FUNCTIONS):
        assert function["Architectures"] == ["arm64"]
        assert (function["Runtime"], function["Handler"]) == ("provided.al2023", "bootstrap")
        assert function["MemorySize"] == int(given.get("MemorySize", 512))
        assert function["TracingConfig"] == {"Mode": given.get("Tracing", "PassThrough")}


def functions_reach_their_network_in_time(stack, given):
    network = {name: given[name].split(",") for name in ("SubnetIds", "SecurityGroupIds") if name in given}
    for function in each(stack, ["HttpFunction"]):
        assert function.get("VpcConfig") == (network if given.get("HttpInVpc") == "true" else None)
        assert function["Timeout"] == int(given.get("HttpTimeout", 120)) <= 15 * 60
    for function in each(stack, ["KafkaFunction"]):
        assert function["VpcConfig"] == network
        assert function["Timeout"] == int(given.get("KafkaTimeout", 300)) <= 14 * 60


def functions_get_their_settings(stack, given):
    store = given.get("StoreUrl", "memory:")
    both = {
        "A2A_NAME": given.get("AgentName", "data"),
        "A2A_STORE": "dynamodb://<Tasks>?region=eu-west-1" if store == "dynamodb:" else store,
        "A2A_SECRET": PSEUDO["AWS::StackId"],
        "A2A_JWKS": given.get("Jwks", ""),
        "A2A_JWT_ISSUER": given.get("JwtIssuer", ""),
        "A2A_JWT_AUDIENCE": given.get("JwtAudience", ""),
        "A2A_KAFKA_PUBLIC": given.get("KafkaPublic", ""),
        "RUST_LOG": given.get("LogLevel", "info"),
    }
    http = {"A2A_PUBLIC_URL": given.get("PublicUrl", ""), "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH": "true"}
    kafka = {
        "A2A_KAFKA": given.get("KafkaBrokers"),
        "A2A_KAFKA_AUTH": "iam",
        "A2A_KAFKA_SCOPE": given.get("MskClusterArn"),
        "A2A_KAFKA_MAX_AGE_SECONDS": given.get("GiveUpAfterSeconds", "300"),
        "A2A_KAFKA_REPLY_TOPICS": given.get("ReplyTopics", ""),
    }
    variables = [function["Environment"]["Variables"] for function in each(stack, FUNCTIONS)]
    assert variables == [both | http, both | kafka][:len(variables)]


def the_mapping_limits_retries(stack, given):
    name = given.get("AgentName", "data")
    assert ("KafkaFunctionRequests" in stack["Resources"]) == ("MskClusterArn" in given)
    for mapping in each(stack, ["KafkaFunctionRequests"]):
        assert kept(stack, "KafkaFunctionRequests") == [None, None]
        assert mapping == {
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


def functions_have_roles_and_logs_of_their_own(stack, given):
    for name in [name for name in ("Http", "Kafka") if f"{name}Function" in stack["Resources"]]:
        function, role = each(stack, [f"{name}Function", f"{name}Role"])
        assert function["LoggingConfig"] == {"LogGroup": f"<{name}Logs>"}
        assert function["Role"] == f"<{name}Role.Arn>"
        trust, = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert "ManagedPolicyArns" not in role
        actions = allowed(stack, f"{name}Role")
        for action, where in actions.items():
            assert "*" not in action
            assert "*" not in where or action.startswith(UNNAMED), action
        items = {action for action in actions if action.startswith("dynamodb:")}
        assert items == {f"dynamodb:{action}" for action in ITEM_ACTIONS}
        assert actions["dynamodb:PutItem"] == ["<Tasks.Arn>", "<Tasks.Arn>/index/*"]
        assert actions["logs:PutLogEvents"] == [f"<{name}Logs.Arn>"]
        assert ("xray:PutTraceSegments" in actions) == (given.get("Tracing") == "Active")
    services = {action.split(":")[0] for action in allowed(stack, "HttpRole")} - {"xray"}
    assert services == {"logs", "dynamodb"} | ({"ec2"} if given.get("HttpInVpc") == "true" else set())


def kafka_actions_reach_their_topics_only(stack, given):
    name = given.get("AgentName", "data")
    if "MskClusterArn" in given:
        actions = allowed(stack, "KafkaRole")
        cluster = given["MskClusterArn"]
        topics = f"{cluster.replace(':cluster/', ':topic/')}/"
        topic = f"{topics}agent.{name}."
        group = f"{cluster.replace(':cluster/', ':group/')}/agent.{name}.lambda"
        written = [topic + end for end in ("dead-letter", "failures", "responses")]
        written += [topics + given["ReplyTopics"]] if "ReplyTopics" in given else []
        assert {action: where for action, where in actions.items() if action.startswith("kafka")} == {
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


def logs_have_retention(stack, given):
    for logs in each(stack, ("HttpLogs", "KafkaLogs", "ApiLogs")):
        assert logs["RetentionInDays"] == int(given.get("LogRetentionDays", 30))


def the_table_is_that_of_table_json(stack, given):
    table, = each(stack, ["Tasks"])
    assert {key: table[key] for key in TABLE} == TABLE
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert kept(stack, "Tasks") == [given.get("TableDeletionPolicy", "Retain")] * 2
