"""What a template says, whichever tool wrote it: intrinsics evaluated, resources under plain names."""

import json
import re

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/agent/0a1b2c3d",
    "AWS::StackName": "agent",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()
# Where the tools name the same thing differently.
NAMES = {
    "ApiApiPermission.*": "ApiPermission",
    "ApiCloudWatchRole": "ApiAccountRole",
    "ApiDeploymentStageprod|ApiprodStage": "Stage",
    "KafkaFunctionRequests": "Requests",
}


def plain(logical_id):
    """A resource's name without the hash that CDK adds."""
    name = re.sub(r"[0-9A-F]{8}$", "", logical_id)
    return next((ours for theirs, ours in NAMES.items() if re.fullmatch(theirs, name)), name)


class Resolver:
    """Evaluates intrinsics. A reference to a resource becomes its plain name in angle brackets."""

    def __init__(self, template, parameters):
        self.conditions = template.get("Conditions", {})
        self.values = dict(PSEUDO)
        for name, declared in template.get("Parameters", {}).items():
            self.values[name] = typed(declared["Type"], parameters.get(name, declared.get("Default")))

    def holds(self, condition):
        return self.value(self.conditions[condition])

    def value(self, node):
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), = node.items()
            if name == "Ref" or name.startswith("Fn::"):
                return getattr(self, name.removeprefix("Fn::").lower())(argument)
        values = {key: self.value(inner) for key, inner in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def ref(self, name):
        return NO_VALUE if name == "AWS::NoValue" else self.values.get(name, f"<{plain(name)}>")

    def getatt(self, argument):
        name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
        return f"<{plain(name)}.{attribute}>"

    def sub(self, argument):
        text, own = argument if isinstance(argument, list) else (argument, {})
        own = self.value(own)

        def expand(match):
            name = match[1]
            if name in own:
                return own[name]
            return str(self.getatt(name) if "." in name else self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", expand, text)

    def join(self, argument):
        delimiter, parts = self.value(argument)
        return delimiter.join(parts)

    def split(self, argument):
        delimiter, text = self.value(argument)
        return text.split(delimiter)

    def equals(self, argument):
        left, right = self.value(argument)
        return left == right

    def not_(self, argument):
        return not self.value(argument)[0]

    def if_(self, argument):
        condition, yes, no = argument
        return self.value(yes if self.holds(condition) else no)


setattr(Resolver, "not", Resolver.not_)
setattr(Resolver, "if", Resolver.if_)


def typed(kind, text):
    if kind == "Number":
        return int(text)
    return text.split(",") if kind == "CommaDelimitedList" else text


def resources(template, parameters):
    """The resources this template makes, by plain name."""
    resolver = Resolver(template, parameters)
    return {
        plain(name): resolver.value({key: value for key, value in resource.items() if key != "Condition"})
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.holds(resource["Condition"])
    }


def facts(template, parameters):
    """What is to be equal between the tools, per resource."""
    made = resources(template, parameters)
    found = {
        name: READERS[resource["Type"]](resource.get("Properties", {}), made)
        for name, resource in made.items()
        if resource["Type"] in READERS
    }
    for name in found:
        policies = ("DeletionPolicy", "UpdateReplacePolicy")
        found[name]["kept"] = [made[name].get(policy, "Delete") for policy in policies]
    found["routes"] = routes(made)
    resolver = Resolver(template, parameters)
    found["outputs"] = {
        name: resolver.value(output["Value"]).replace("<Stage>", made["Stage"]["Properties"]["StageName"])
        for name, output in template["Outputs"].items()
        if "Condition" not in output or resolver.holds(output["Condition"])
    }
    return found


def function(properties, _):
    # Where the code lies is the tool's affair, and SAM tags what it makes.
    own = {key: value for key, value in properties.items() if key not in ("Code", "Tags")}
    return {"TracingConfig": {"Mode": "PassThrough"}, **own}


def role(properties, made):
    """Action -> resources, from the role's own policies and those attached to it."""
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    names = [name for name, resource in made.items() if resource.get("Properties") is properties]
    for resource in made.values():
        if resource["Type"] == "AWS::IAM::Policy" and f"<{names[0]}>" in resource["Properties"]["Roles"]:
            documents.append(resource["Properties"]["PolicyDocument"])
    allowed = {}
    for statement in (statement for document in documents for statement in document["Statement"]):
        assert statement["Effect"] == "Allow", statement
        for action in listed(statement["Action"]):
            allowed.setdefault(action, set()).update(listed(statement["Resource"]))
    return {
        "trusts": properties["AssumeRolePolicyDocument"]["Statement"],
        "managed": properties.get("ManagedPolicyArns", []),
        "allowed": {action: sorted(where) for action, where in sorted(allowed.items())},
    }


def stage(properties, _):
    settings, = properties["MethodSettings"]
    log = properties["AccessLogSetting"]
    return {
        "name": properties["StageName"],
        "traced": properties["TracingEnabled"],
        "log": (log["DestinationArn"], json.loads(log["Format"])),
        # CDK writes down a default.
        "settings": {key: value for key, value in settings.items() if key != "DataTraceEnabled"},
    }


def routes(made):
    """Path and method -> who may call it and what it calls: of SAM's document or of CDK's resources."""
    found = {}
    for path, methods in made["Api"]["Properties"].get("Body", {}).get("paths", {}).items():
        for method, definition in methods.items():
            integration = definition["x-amazon-apigateway-integration"]
            found[path, method.removeprefix("x-amazon-apigateway-").removesuffix("-method").upper()] = {
                "auth": "AWS_IAM" if definition.get("security") == [{"iam": []}] else "NONE",
                "calls": integration["uri"],
                "by": (integration["type"].upper(), integration["httpMethod"]),
                "mode": integration.get("responseTransferMode", "BUFFERED"),
                "timeout": integration.get("timeoutInMillis", 29000),
            }
    for resource in made.values():
        if resource["Type"] == "AWS::ApiGateway::Method":
            properties = resource["Properties"]
            integration = properties["Integration"]
            found[path_of(properties["ResourceId"], made), properties["HttpMethod"]] = {
                "auth": properties["AuthorizationType"],
                "calls": integration["Uri"],
                "by": (integration["Type"], integration["IntegrationHttpMethod"]),
                "mode": integration.get("ResponseTransferMode", "BUFFERED"),
                "timeout": integration.get("TimeoutInMillis", 29000),
            }
    return found


def path_of(reference, made):
    if reference == "<Api.RootResourceId>":
        return "/"
    properties = made[reference.strip("<>")]["Properties"]
    return path_of(properties["ParentId"], made).rstrip("/") + "/" + properties["PathPart"]


def listed(value):
    return value if isinstance(value, list) else [value]


def whole(properties, _):
    return dict(properties)


READERS = {
    "AWS::ApiGateway::Account": whole,
    "AWS::ApiGateway::RestApi": lambda properties, _: {"types": properties["EndpointConfiguration"]["Types"]},
    "AWS::ApiGateway::Stage": stage,
    "AWS::DynamoDB::Table": whole,
    "AWS::IAM::Role": role,
    "AWS::Lambda::EventSourceMapping": whole,
    "AWS::Lambda::Function": function,
    "AWS::Lambda::Permission": whole,
    "AWS::Logs::LogGroup": whole,
}
